// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/node_facts.h"

#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"

namespace bonsai::kernel {
namespace {

// The coarse clocks advance once a tick, and their resolution says how long a tick is.
absl::StatusOr<uint32_t> KernelHz() {
  constexpr int64_t kSecond = 1000000000;
  timespec tick = {};
  if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0) {
    return base::ErrnoStatus(errno, "reading the length of a kernel tick");
  }
  if (tick.tv_sec != 0 || tick.tv_nsec <= 0) {
    return base::Internal("reading the length of a kernel tick: {}.{:09} s", tick.tv_sec,
                          tick.tv_nsec);
  }
  return static_cast<uint32_t>((kSecond + tick.tv_nsec / 2) / tick.tv_nsec);
}

}  // namespace

absl::StatusOr<NodeFacts> GatherNodeFacts() {
  utsname names = {};
  if (uname(&names) != 0) return base::ErrnoStatus(errno, "reading the node's name");
  NodeFacts facts;
  facts.hostname = names.nodename;
  facts.kernel_release = names.release;
  facts.page_size = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  ASSIGN_OR_RETURN(facts.kernel_hz, KernelHz());
  ASSIGN_OR_RETURN(facts.possible_cpus, PossibleCpus());
  ASSIGN_OR_RETURN(facts.links, ListLinks());
  ASSIGN_OR_RETURN(facts.addresses, ListAddresses());
  ASSIGN_OR_RETURN(const std::vector<DefaultRoute> routes, ListDefaultRoutes());
  std::set<uint32_t> devices;
  for (const DefaultRoute& route : routes) devices.insert(route.ifindex);
  facts.default_route_ifindexes.assign(devices.begin(), devices.end());
  return facts;
}

}  // namespace bonsai::kernel
