// SPDX-License-Identifier: Apache-2.0
// What an agent has on its node, as far as it must be the same before and after.
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/support/kernel_objects.h"

namespace bonsai::testing {

// Conntrack and both families on; small tables, no collection of connections in between.
ConfigMap SmallConfig();
// All features on.
ConfigMap LargeConfig();

struct NodeState {
  KernelObjects objects;          // held by the agent or by its pins
  std::vector<std::string> pins;  // paths below the pin root
  size_t descriptors = 0;         // of the agent, but sockets

  static NodeState Of(const Cluster& cluster);
  // As many objects, no more descriptors, pins of the same names: the same configuration, loaded
  // another time.
  bool LooksLike(const NodeState& other) const;
};

uint64_t Generation(const Cluster& cluster);
// Any, but those of one code.
bool HasProblem(const Cluster& cluster, const std::string& but = "");
// The metric's lines that say where a change failed.
std::string FailureInfo(const Cluster& cluster);

// As WaitFor, but looks every few milliseconds.
template <typename Condition>
bool PollUntil(Condition condition, int timeout_seconds = 30) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return true;
}

}  // namespace bonsai::testing
