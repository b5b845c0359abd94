// SPDX-License-Identifier: Apache-2.0
#include "agent/control/desired_tables.h"

#include <algorithm>
#include <cstring>

#include "agent/base/status.h"
#include "agent/kernel/netlink.h"
#include "agent/tables/local_pods.h"

namespace bonsai::control {
namespace {

tables::Address ToTables(const kernel::IpAddress& address) {
  tables::Address converted;
  converted.family = address.family;
  std::memcpy(converted.bytes, address.bytes, sizeof(converted.bytes));
  return converted;
}

kernel::IpAddress ToKernel(const tables::Address& address) {
  kernel::IpAddress converted;
  converted.family = address.family;
  std::memcpy(converted.bytes, address.bytes, sizeof(converted.bytes));
  return converted;
}

// A pod is behind a device by its route only when that device is one of the pods': a pod of another
// node is routed to an uplink.
tables::DeviceFinder FinderFor(const kernel::NodeFacts& node, const std::vector<uint32_t>& uplinks) {
  return {.by_name = [&node](const std::string& name) -> absl::StatusOr<uint32_t> {
            for (const kernel::Link& link : node.links) {
              if (link.name == name) return link.ifindex;
            }
            return base::NotFound("finding device {}: there is none of that name", name);
          },
          .by_route = [&uplinks](const tables::Address& address) -> absl::StatusOr<uint32_t> {
            ASSIGN_OR_RETURN(uint32_t ifindex, kernel::RouteDevice(ToKernel(address)));
            if (std::find(uplinks.begin(), uplinks.end(), ifindex) != uplinks.end()) {
              return base::NotFound("finding the device of {}: it is routed to an uplink",
                                    tables::ToString(address));
            }
            return ifindex;
          }};
}

tables::TargetMaps Targets(const plan::LoadPlan& plan, const load::Loaded& loaded) {
  tables::TargetMaps targets;
  for (const auto& [name, map] : loaded.maps()) {
    const plan::MapPlan* planned = plan.FindMap(name);
    targets[name] = {.map = &map.map, .sized_by = planned == nullptr ? "" : planned->sized_by};
  }
  return targets;
}

}  // namespace

DesiredTables::DesiredTables(const Options& options)
    : node_name_(options.node_name), store_(options.manifests_dir) {
  if (!store_.directory().empty()) source_ = "manifests " + store_.directory();
}

std::vector<std::string> DesiredTables::Refresh() {
  if (store_.directory().empty()) return {};
  absl::StatusOr<bool> changed = store_.Refresh();
  if (!changed.ok()) return {base::Message(changed.status())};
  synced_ = std::chrono::system_clock::now();
  std::vector<std::string> problems;
  for (const kube::ManifestProblem& problem : store_.problems()) {
    problems.push_back(kube::ToString(problem));
  }
  return problems;
}

absl::Status DesiredTables::Build(const kernel::NodeFacts& node,
                                  const settings::Settings& settings) {
  tables::TableInputs inputs{.state = store_.state(),
                             .prefilter_cidrs = settings.List("prefilter-cidrs")};
  tables::LocalPods local = tables::FindLocalPods(
      store_.state(), node_name_, FinderFor(node, node.default_route_ifindexes));
  inputs.local_pods = std::move(local.pods);
  for (const kernel::InterfaceAddress& address : node.addresses) {
    inputs.node_addresses.push_back(ToTables(address.address));
  }
  ASSIGN_OR_RETURN(tables_, builder_.Build(inputs));
  warnings_ = std::move(local.problems);
  warnings_.insert(warnings_.end(), tables_.warnings.begin(), tables_.warnings.end());
  return absl::OkStatus();
}

tables::WriteReport DesiredTables::Write(const plan::LoadPlan& plan,
                                         const load::Loaded& loaded) const {
  return tables::WriteTables(tables_, Targets(plan, loaded));
}

absl::Status DesiredTables::RaisePolicyEpoch(const plan::LoadPlan& plan,
                                             const load::Loaded& loaded) const {
  return tables::RaisePolicyEpoch(Targets(plan, loaded)).status();
}

}  // namespace bonsai::control
