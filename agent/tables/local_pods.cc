// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/local_pods.h"

#include <map>

#include "agent/base/status.h"

namespace bonsai::tables {
namespace {

absl::StatusOr<uint32_t> FindDevice(const Pod& pod, const DeviceFinder& finder) {
  if (!pod.device.empty()) return finder.by_name(pod.device);
  absl::Status status = base::NotFound("it has no address yet");
  for (const Address& address : pod.addresses) {
    auto ifindex = finder.by_route(address);
    if (ifindex.ok()) return ifindex;
    status = ifindex.status();
  }
  return status;
}

}  // namespace

LocalPods FindLocalPods(const DesiredState& state, const std::string& node,
                        const DeviceFinder& finder) {
  LocalPods local;
  std::map<uint32_t, std::string> owners;
  for (const Pod& pod : state.pods) {
    if (pod.host_network) continue;
    if (!node.empty() && !pod.node.empty() && pod.node != node) continue;
    const std::string name = pod.namespace_name + "/" + pod.name;
    const auto ifindex = FindDevice(pod, finder);
    if (!ifindex.ok()) {
      // Without a node name a missing device only means that the pod is somewhere else.
      const bool expected = !pod.node.empty() || !pod.device.empty();
      if (expected || !absl::IsNotFound(ifindex.status())) {
        local.problems.push_back(
            fmt::format("finding the device of pod {}: {}", name, base::Message(ifindex.status())));
      }
      continue;
    }
    if (auto [owner, fresh] = owners.emplace(*ifindex, name); !fresh) {
      local.problems.push_back(
          fmt::format("finding the device of pod {}: device {} belongs to pod {} already", name,
                      *ifindex, owner->second));
      continue;
    }
    local.pods.push_back({pod, *ifindex});
  }
  return local;
}

}  // namespace bonsai::tables
