// SPDX-License-Identifier: Apache-2.0
// Nanoseconds a packet takes in from_pod and to_pod with and without HTTP visibility, by
// BPF_PROG_TEST_RUN: packet_bench prints a table. Needs root. The least of interleaved repetitions.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/prog_run.h"

namespace bonsai::testing {
namespace {

constexpr int kRepetitions = 15;
constexpr uint32_t kPackets = 200000;
constexpr uint16_t kClient = 1000;

struct Ends {
  const char* pod;
  const char* peer;
};
constexpr Ends kEnds[] = {{"10.1.0.2", "10.2.0.9"}, {"fd00:1::2", "fd00:2::9"}};

struct Case {
  const char* name;
  std::string payload;
  bool leaves;           // the pod, which is the client
  uint16_t server = 80;
};

std::vector<Case> Cases() {
  const std::string headers =
      "Host: web.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
      "Accept-Language: en-US,en;q=0.5\r\nConnection: keep-alive\r\n\r\n";
  return {{"bare acknowledgement", "", true},
          {"body to the client", std::string(1400, '\x9c'), false},
          {"body to the server, binary", std::string(1400, '\x9c'), true},
          {"body to the server, text", std::string(1400, 'a'), true},
          {"body on another port", std::string(1400, 'a'), true, 5000},
          {"request, Host first", "GET /index.html HTTP/1.1\r\n" + headers, true},
          {"response", "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 3000\r\n\r\n", false}};
}

std::unique_ptr<Datapath> Load(bool http) {
  auto datapath = std::make_unique<Datapath>(DatapathConfig{
      .constants = {{"enable_ipv4", 1}, {"enable_ipv6", 1}, {"enable_conntrack", 1},
                    {"enable_flow_events", 0}, {"enable_datapath_metrics", 1},
                    {"enable_dns_visibility", 0}, {"enable_http_visibility", http}}});
  if (!datapath->error().empty()) {
    std::fprintf(stderr, "packet_bench: %s\n", datapath->error().c_str());
    std::exit(1);
  }
  l7_ports ports = {};
  ports.bits[80 / 64] |= uint64_t{1} << 80 % 64;
  datapath->Put("http_ports", uint32_t{0}, ports);
  return datapath;
}

Bytes Packet(const Ends& ends, const Case& what, uint8_t flags) {
  Frame frame{.src = what.leaves ? ends.pod : ends.peer, .dst = what.leaves ? ends.peer : ends.pod};
  frame.l4 = what.leaves ? Tcp{kClient, what.server, flags} : Tcp{what.server, kClient, flags};
  if (!(flags & kSyn)) frame.payload.assign(what.payload.begin(), what.payload.end());
  return Build(frame);
}

// The mean of one run of many packets of an established connection.
uint32_t Nanoseconds(Datapath& datapath, const Ends& ends, const Case& what) {
  const Case ask{"", "", true, what.server}, answer{"", "", false, what.server};
  datapath.Run("from_pod", Packet(ends, ask, kSyn));
  datapath.Run("to_pod", Packet(ends, answer, kSyn | kAck));
  datapath.Run("from_pod", Packet(ends, ask, kAck));
  return datapath.Run(what.leaves ? "from_pod" : "to_pod", Packet(ends, what, kAck), kPodIfindex,
                      kPackets).ns;
}

int Main() {
  if (geteuid() != 0) {
    std::fprintf(stderr, "packet_bench: needs root\n");
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
