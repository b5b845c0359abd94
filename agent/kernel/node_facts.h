// SPDX-License-Identifier: Apache-2.0
// What the agent needs to know of the node it runs on, gathered at one moment.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/netlink.h"

namespace bonsai::kernel {

struct NodeFacts {
  std::string hostname;
  std::string kernel_release;   // as `uname -r` says it
  uint32_t kernel_hz = 0;       // ticks of jiffies a second (CONFIG_HZ)
  uint32_t possible_cpus = 0;   // per-CPU maps have that many copies of a value
  uint32_t page_size = 0;       // bytes
  std::vector<Link> links;
  std::vector<InterfaceAddress> addresses;
  std::vector<uint32_t> default_route_ifindexes;  // IPv4 and IPv6, each device once, sorted
  bool operator==(const NodeFacts&) const = default;
};

// Facts of this machine and of the network namespace of the calling thread. Any thread.
absl::StatusOr<NodeFacts> GatherNodeFacts();

}  // namespace bonsai::kernel
