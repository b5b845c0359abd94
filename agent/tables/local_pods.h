// SPDX-License-Identifier: Apache-2.0
// Which pods run on this node, and behind which device each of them is.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/tables/desired_state.h"

namespace bonsai::tables {

struct LocalPod {
  Pod pod;
  uint32_t ifindex = 0;  // of the host-side device
};

// How to find a pod's device: by the name in its annotation, or by the route to its address. Both
// return the ifindex; NotFound means "not (yet) on this node", other errors that it could not be
// told.
struct DeviceFinder {
  std::function<absl::StatusOr<uint32_t>(const std::string& device)> by_name;
  std::function<absl::StatusOr<uint32_t>(const Address& address)> by_route;
};

struct LocalPods {
  std::vector<LocalPod> pods;
  std::vector<std::string> problems;  // pods of this node whose device was not found; one line each
};

// Pods of `node` (all pods when `node` is empty, pods without a node name always), host-network
// pods left out. A pod that names no node and has no device here is taken to run elsewhere. Of two
// pods behind one device only the first is taken.
LocalPods FindLocalPods(const DesiredState& state, const std::string& node,
                        const DeviceFinder& finder);

}  // namespace bonsai::tables
