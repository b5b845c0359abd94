// SPDX-License-Identifier: Apache-2.0
// Nanoseconds a DNS packet takes in from_pod and to_pod with and without DNS visibility, by
// BPF_PROG_TEST_RUN: dns_packet_bench prints a table. Needs root. The least of interleaved repetitions;
// nobody reads the ring buffer, so that events are counted and lost.
#include <string>
#include <vector>

#include "tests/bench/packet_table.h"
#include "tests/support/dns.h"

namespace bonsai::testing {
namespace {

constexpr uint32_t kPackets = 100000;
constexpr uint16_t kClient = 40000;

struct Case {
  const char* name;
  Bytes message;
  bool leaves;  // the pod, which is the client
};

std::vector<Case> Cases() {
  const Bytes name = WireName("www.example.com");
  DnsMessage answer{.response = true, .questions = {{.name = name}}};
  answer.answers = {AddressRecord(PointerTo(12), "192.0.2.1")};
  DnsMessage eight = answer;
  for (int i = 0; i < 7; ++i) eight.answers.push_back(answer.answers[0]);
  std::string labels = "a";
  for (int i = 1; i < 127; ++i) labels += ".a";
  return {{"query, three labels", Pack({.questions = {{.name = name}}}), true},
          {"query, 127 labels", Pack({.questions = {{.name = WireName(labels)}}}), true},
          {"response, one address", Pack(answer), false},
          {"response, eight addresses", Pack(eight), false}};
}

// The mean of one run of many packets of a known flow.
uint32_t Nanoseconds(Datapath& datapath, const Ends& ends, const Case& what) {
  Frame frame{.src = ends.pod, .dst = ends.peer, .l4 = Udp{kClient, 53}};
  if (!what.leaves) frame = {.src = ends.peer, .dst = ends.pod, .l4 = Udp{53, kClient}};
  frame.payload = what.message;
  const Bytes packet = Build(frame);
  const std::string program = what.leaves ? "from_pod" : "to_pod";
  datapath.Run(program, packet);
  return datapath.Run(program, packet, kPodIfindex, kPackets).ns;
}

}  // namespace
}  // namespace bonsai::testing

int main() {
  using namespace bonsai::testing;
  return PrintTable(L7Feature{"enable_dns_visibility", "dns_ports", 53}, Cases(), Nanoseconds);
}
