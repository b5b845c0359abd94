// SPDX-License-Identifier: Apache-2.0
// Nanoseconds a DNS packet takes in from_pod and to_pod with and without DNS visibility, by
// BPF_PROG_TEST_RUN: dns_packet_bench prints a table. Needs root. The least of interleaved repetitions;
// nobody reads the ring buffer, so that events are counted and lost.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/dns.h"
#include "tests/support/prog_run.h"

namespace bonsai::testing {
namespace {

constexpr int kRepetitions = 15;
constexpr uint32_t kPackets = 100000;
constexpr uint16_t kClient = 40000;

struct Ends {
  const char* pod;
  const char* peer;
};
constexpr Ends kEnds[] = {{"10.1.0.2", "10.2.0.9"}, {"fd00:1::2", "fd00:2::9"}};

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

std::unique_ptr<Datapath> Load(bool dns) {
  auto datapath = std::make_unique<Datapath>(DatapathConfig{
      .constants = {{"enable_ipv4", 1}, {"enable_ipv6", 1}, {"enable_conntrack", 1},
                    {"enable_flow_events", 0}, {"enable_datapath_metrics", 1},
                    {"enable_dns_visibility", dns}, {"enable_http_visibility", 0}}});
  if (!datapath->error().empty()) {
    std::fprintf(stderr, "dns_packet_bench: %s\n", datapath->error().c_str());
    std::exit(1);
  }
  l7_ports ports = {};
  ports.bits[0] |= uint64_t{1} << 53;
  datapath->Put("dns_ports", uint32_t{0}, ports);
  return datapath;
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

int Main() {
  if (geteuid() != 0) {
    std::fprintf(stderr, "dns_packet_bench: needs root\n");
    return 1;
  }
  const std::unique_ptr<Datapath> off = Load(false), on = Load(true);
  std::printf("| packet | IPv4 off | IPv4 on | IPv6 off | IPv6 on |\n|---|---:|---:|---:|---:|\n");
  for (const Case& what : Cases()) {
    uint32_t best[4] = {~0u, ~0u, ~0u, ~0u};
    for (int repetition = 0; repetition < kRepetitions; ++repetition) {
      for (int column = 0; column < 4; ++column) {
        Datapath& datapath = column % 2 ? *on : *off;
        best[column] = std::min(best[column], Nanoseconds(datapath, kEnds[column / 2], what));
      }
    }
    std::printf("| %s | %u | %u | %u | %u |\n", what.name, best[0], best[1], best[2], best[3]);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace bonsai::testing

int main() { return bonsai::testing::Main(); }
