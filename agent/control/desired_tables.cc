// SPDX-License-Identifier: Apache-2.0
#include "agent/control/desired_tables.h"

#include <algorithm>
#include <cstring>

#include "agent/base/status.h"
#include "agent/control/datapath.h"
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
tables::DeviceFinder FinderFor(const kernel::NodeFacts& node, const std::set<uint32_t>& uplinks) {
  return {.by_name = [&node](const std::string& name) -> absl::StatusOr<uint32_t> {
            for (const kernel::Link& link : node.links) {
              if (link.name == name) return link.ifindex;
            }
            return base::NotFound("finding device {}: there is none of that name", name);
          },
          .by_route = [uplinks](const tables::Address& address) -> absl::StatusOr<uint32_t> {
            ASSIGN_OR_RETURN(uint32_t ifindex, kernel::RouteDevice(ToKernel(address)));
            if (uplinks.contains(ifindex)) {
              return base::NotFound("finding the device of {}: it is routed to an uplink",
                                    tables::ToString(address));
            }
            return ifindex;
          }};
}

// Maps whose contents come from manifests; those of the others come from settings.
constexpr const char* kFromManifests[] = {"endpoints", "ipcache4",  "ipcache6",  "policy",
                                          "services4", "services6", "backends4", "backends6"};

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

std::vector<std::string> DesiredTables::Refresh(bool& changed) {
  changed = false;
  if (store_.directory().empty()) return {};
  absl::StatusOr<bool> refreshed = store_.Refresh();
  if (!refreshed.ok()) return {base::Message(refreshed.status())};
  synced_ = std::chrono::system_clock::now();
  const std::vector<kube::ManifestFile> files = store_.files();
  const bool was_complete = complete_;
  complete_ |= std::none_of(files.begin(), files.end(), [](const kube::ManifestFile& file) {
    return file.refused && !file.last_good;
  });
  changed = *refreshed || complete_ != was_complete;
  std::vector<std::string> problems;
  for (const kube::ManifestProblem& problem : store_.problems()) {
    problems.push_back(kube::ToString(problem));
  }
  return problems;
}

absl::Status DesiredTables::Build(const kernel::NodeFacts& node,
                                  const settings::Settings& settings) {
  tables::TableInputs inputs{.state = store_.state(),
                             .prefilter_cidrs = settings.List("prefilter-cidrs"),
                             .dns_ports = settings.List("dns-ports"),
                             .http_ports = settings.List("http-ports"),
                             .dns_deny = settings.List("dns-deny")};
  tables::LocalPods local = tables::FindLocalPods(
      store_.state(), node_name_, FinderFor(node, Datapath::Uplinks(settings, node)));
  inputs.local_pods = std::move(local.pods);
  for (const kernel::InterfaceAddress& address : node.addresses) {
    inputs.node_addresses.push_back(ToTables(address.address));
  }
  ASSIGN_OR_RETURN(tables::Tables built, builder_.Build(inputs));
  tables_ = std::make_shared<const tables::Tables>(std::move(built));
  warnings_ = std::move(local.problems);
  warnings_.insert(warnings_.end(), tables_->warnings.begin(), tables_->warnings.end());
  return absl::OkStatus();
}

tables::WriteReport DesiredTables::Write(const plan::LoadPlan& plan,
                                         const load::Loaded& loaded, bool hold) {
  tables::TargetMaps targets = Targets(plan, loaded);
  for (const char* name : kFromManifests) {
    const auto map = loaded.maps().find(name);
    if (!hold || map == loaded.maps().end()) continue;
    if (map->second.reused || map->second.carried) targets.erase(name);
  }
  tables::WriteReport report = tables::WriteTables(*tables_, targets);
  if (report.errors.empty() && !hold) written_ = tables_;
  return report;
}

absl::Status DesiredTables::RaisePolicyEpoch(const plan::LoadPlan& plan,
                                             const load::Loaded& loaded) const {
  return tables::RaisePolicyEpoch(Targets(plan, loaded)).status();
}

}  // namespace bonsai::control
