// SPDX-License-Identifier: Apache-2.0
// What packet_bench and dns_packet_bench share: the datapath with and without a layer 7 feature, and a
// table of nanoseconds, the least of interleaved repetitions.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/prog_run.h"

namespace bonsai::testing {

// Addresses of one family.
struct Ends {
  const char* pod;
  const char* peer;
};
inline constexpr Ends kEnds[] = {{"10.1.0.2", "10.2.0.9"}, {"fd00:1::2", "fd00:2::9"}};

struct L7Feature {
  std::string toggle;  // constant
  std::string ports;   // map
  uint16_t port = 0;   // of the server
};

// Conntrack and metrics on, flow events and other layer 7 features off. Ends the process if it fails.
inline std::unique_ptr<Datapath> LoadFor(const L7Feature& feature, bool on) {
  std::map<std::string, uint64_t> constants = {
      {"enable_ipv4", 1}, {"enable_ipv6", 1}, {"enable_conntrack", 1},
      {"enable_flow_events", 0}, {"enable_datapath_metrics", 1},
      {"enable_dns_visibility", 0}, {"enable_http_visibility", 0}};
  constants[feature.toggle] = on;
  auto datapath = std::make_unique<Datapath>(DatapathConfig{.constants = constants});
  if (!datapath->error().empty()) {
    std::fprintf(stderr, "loading the datapath: %s\n", datapath->error().c_str());
    std::exit(1);
  }
  l7_ports ports = {};
  ports.bits[feature.port / 64] |= uint64_t{1} << feature.port % 64;
  datapath->Put(feature.ports, uint32_t{0}, ports);
  return datapath;
}

// Prints a row a case, each with a `name`; `measure` takes (Datapath&, const Ends&, const Case&).
// Returns the exit code.
template <typename Case, typename Measure>
int PrintTable(const L7Feature& feature, const std::vector<Case>& cases, Measure measure) {
  constexpr int kRepetitions = 15;
  if (geteuid() != 0) {
    std::fprintf(stderr, "measuring packets: needs root\n");
    return 1;
  }
  const std::unique_ptr<Datapath> off = LoadFor(feature, false), on = LoadFor(feature, true);
  std::printf("| packet | IPv4 off | IPv4 on | IPv6 off | IPv6 on |\n|---|---:|---:|---:|---:|\n");
  for (const Case& what : cases) {
    uint32_t best[4] = {~0u, ~0u, ~0u, ~0u};
    for (int repetition = 0; repetition < kRepetitions; ++repetition) {
      for (int column = 0; column < 4; ++column) {
        Datapath& datapath = column % 2 ? *on : *off;
        best[column] = std::min(best[column], measure(datapath, kEnds[column / 2], what));
      }
    }
    std::printf("| %s | %u | %u | %u | %u |\n", what.name, best[0], best[1], best[2], best[3]);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace bonsai::testing
