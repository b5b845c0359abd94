// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/writer.h"

#include <linux/bpf.h>

#include <algorithm>
#include <random>
#include <utility>

#include "agent/base/status.h"
#include "agent/tables/diff.h"

namespace bonsai::tables {
namespace {

constexpr char kStep[] = "write table";

const TargetMap* Find(const TargetMaps& maps, const std::string& name) {
  const auto found = maps.find(name);
  return found == maps.end() ? nullptr : &found->second;
}

std::string DoesNotFit(const std::string& name, const TargetMap& target, uint64_t wanted) {
  return fmt::format("writing map {}: {} entries wanted, {} fit; raise {}", name, wanted,
                     target.map->info().max_entries,
                     target.sized_by.empty() ? "its size" : target.sized_by);
}

absl::Status CheckSizes(const std::string& name, const TargetMap& target,
                        const MapContents& desired) {
  const kernel::MapInfo& info = target.map->info();
  if (desired.empty()) return absl::OkStatus();
  const auto& [key, value] = *desired.begin();
  if (key.size() == info.key_size && value.size() == info.value_size) return absl::OkStatus();
  return base::Internal("writing map {}: entries have {}+{} bytes, the map {}+{}", name, key.size(),
                        value.size(), info.key_size, info.value_size);
}

absl::Status Upsert(const kernel::BpfMap& map,
                    const std::vector<std::pair<Bytes, Bytes>>& entries) {
  Bytes keys, values;
  for (const auto& [key, value] : entries) {
    keys += key;
    values += value;
  }
  return map.UpdateMany(keys.data(), values.data(), entries.size());
}

absl::Status Delete(const kernel::BpfMap& map, const std::vector<Bytes>& entries) {
  Bytes keys;
  for (const Bytes& key : entries) keys += key;
  return map.DeleteMany(keys.data(), entries.size());
}

// One map's part in a group.
struct Pending {
  std::string name;
  const TargetMap* target = nullptr;
  size_t before = 0, after = 0;
  MapDiff diff;

  const kernel::BpfMap& map() const { return *target->map; }
  // New and old entries together would not fit, so the old ones have to go first.
  bool tight() const { return before + diff.added > map().info().max_entries; }
};

absl::StatusOr<std::vector<Pending>> Prepare(const Tables& tables, const TargetMaps& maps,
                                             const std::vector<std::string>& names) {
  std::vector<Pending> group;
  std::string too_full, first_full;
  for (const std::string& name : names) {
    const TargetMap* target = Find(maps, name);
    if (target == nullptr) continue;
    const MapContents& desired = tables.maps.at(name);
    RETURN_IF_ERROR_AT(CheckSizes(name, *target, desired), kStep, name);
    if (desired.size() > target->map->info().max_entries) {
      if (too_full.empty()) first_full = name;
      too_full += (too_full.empty() ? "" : "; ") + DoesNotFit(name, *target, desired.size());
      continue;
    }
    const auto current = ReadContents(*target->map);
    RETURN_IF_ERROR_AT(current.status(), kStep, name);
    group.push_back({name, target, current->size(), desired.size(), Diff(*current, desired)});
  }
  if (!too_full.empty()) {
    return base::At(absl::ResourceExhaustedError(too_full), kStep, first_full);
  }
  return group;
}

// Upserts in the group's order, deletes in the opposite one.
absl::Status Carry(const std::vector<Pending>& group) {
  for (const Pending& each : group) {
    if (each.tight()) RETURN_IF_ERROR_AT(Delete(each.map(), each.diff.deletes), kStep, each.name);
    RETURN_IF_ERROR_AT(Upsert(each.map(), each.diff.upserts), kStep, each.name);
  }
  for (auto each = group.rbegin(); each != group.rend(); ++each) {
    if (each->tight()) continue;
    RETURN_IF_ERROR_AT(Delete(each->map(), each->diff.deletes), kStep, each->name);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> ReadEpoch(const kernel::BpfMap& map) {
  const uint32_t key = 0;
  uint32_t epoch = 0;
  RETURN_IF_ERROR(map.Lookup(&key, &epoch));
  return epoch;
}

// Epoch 0 is a map that was just made. Counting from 1 in each of them would let verdicts from
// before policy was switched off count as fresh when it is switched on again.
uint32_t NextEpoch(uint32_t epoch) {
  if (epoch == 0) epoch = std::random_device()();
  return std::max(epoch + 1, 1u);
}

bool IsArray(const TargetMap& target) {
  return target.map->info().type == BPF_MAP_TYPE_ARRAY;
}

MapReport Describe(const std::string& name, const TargetMap& target) {
  return {.name = name, .max_entries = target.map->info().max_entries};
}

// Reports what a group's maps hold when it failed; best effort, the error itself is reported.
void ReportUntouched(const TargetMaps& maps, const std::vector<std::string>& names,
                     WriteReport& report) {
  for (const std::string& name : names) {
    const TargetMap* target = Find(maps, name);
    if (target == nullptr || IsArray(*target)) continue;
    MapReport map = Describe(name, *target);
    map.entries = target->map->CountEntries().value_or(0);
    report.maps.push_back(std::move(map));
  }
}

// True when something was, or may have been, written.
bool WriteGroup(const Tables& tables, const TargetMaps& maps, const std::vector<std::string>& names,
                WriteReport& report) {
  const auto group = Prepare(tables, maps, names);
  if (!group.ok()) {
    report.errors.push_back(group.status());
    ReportUntouched(maps, names, report);
    return false;
  }
  const absl::Status status = Carry(*group);
  if (!status.ok()) {
    report.errors.push_back(status);
    ReportUntouched(maps, names, report);
    return true;
  }
  for (const Pending& each : *group) {
    if (IsArray(*each.target)) continue;
    MapReport map = Describe(each.name, *each.target);
    map.entries = each.after;
    map.added = each.diff.added;
    map.changed = each.diff.changed;
    map.deleted = each.diff.deletes.size();
    report.maps.push_back(std::move(map));
  }
  return std::ranges::any_of(*group, [](const Pending& each) { return !each.diff.empty(); });
}

void Count(const ServiceWrite& write, const MapContents& before, MapReport& report) {
  if (write.value.empty()) {
    ++report.deleted;
  } else {
    ++(before.contains(write.key) ? report.changed : report.added);
  }
}

absl::Status WriteServices(const ServiceLists& lists, const std::vector<std::string>& names,
                           const TargetMap& services, const TargetMap& backends,
                           WriteReport& report) {
  ASSIGN_OR_RETURN(const MapContents service_map, ReadContents(*services.map));
  ASSIGN_OR_RETURN(const MapContents backend_map, ReadContents(*backends.map));
  const ServicePlan plan = PlanServices(lists, service_map, backend_map);
  // A list is replaced by a new one beside it, so the peak is what has to fit.
  if (plan.peak_services > services.map->info().max_entries) {
    return absl::ResourceExhaustedError(DoesNotFit(names[0], services, plan.peak_services));
  }
  if (plan.peak_backends > backends.map->info().max_entries) {
    return absl::ResourceExhaustedError(DoesNotFit(names[1], backends, plan.peak_backends));
  }
  MapReport service_report = Describe(names[0], services);
  MapReport backend_report = Describe(names[1], backends);
  for (const ServiceWrite& write : plan.writes) {
    const bool service = write.map == ServiceWrite::Map::kServices;
    const kernel::BpfMap& map = service ? *services.map : *backends.map;
    RETURN_IF_ERROR(write.value.empty() ? map.DeleteMany(write.key.data(), 1)
                                        : map.Update(write.key.data(), write.value.data()));
    Count(write, service ? service_map : backend_map, service ? service_report : backend_report);
  }
  service_report.entries = plan.final_services;
  backend_report.entries = plan.final_backends;
  report.maps.push_back(std::move(service_report));
  report.maps.push_back(std::move(backend_report));
  return absl::OkStatus();
}

void WriteServiceGroup(const ServiceLists& lists, const TargetMaps& maps,
                       const std::vector<std::string>& names, WriteReport& report) {
  const TargetMap* services = Find(maps, names[0]);
  const TargetMap* backends = Find(maps, names[1]);
  if (services == nullptr || backends == nullptr) return;
  const absl::Status status = WriteServices(lists, names, *services, *backends, report);
  if (status.ok()) return;
  report.errors.push_back(base::At(status, kStep, names[0] + " and " + names[1]));
  ReportUntouched(maps, names, report);
}

}  // namespace

absl::StatusOr<MapContents> ReadContents(const kernel::BpfMap& map) {
  MapContents contents;
  const auto bytes = [](std::span<const uint8_t> raw) { return Bytes(raw.begin(), raw.end()); };
  RETURN_IF_ERROR(map.ForEach([&](auto key, auto value) {
    contents.insert_or_assign(bytes(key), bytes(value));
    return true;
  }));
  return contents;
}

absl::StatusOr<bool> RaisePolicyEpoch(const TargetMaps& maps, bool only_if_new) {
  const TargetMap* target = Find(maps, "policy_epoch");
  if (target == nullptr) return false;
  const auto epoch = ReadEpoch(*target->map);
  RETURN_IF_ERROR_AT(base::Annotate(epoch.status(), "raising policy_epoch"), kStep, "policy_epoch");
  if (only_if_new && *epoch != 0) return false;
  const uint32_t key = 0, next = NextEpoch(*epoch);
  RETURN_IF_ERROR_AT(base::Annotate(target->map->Update(&key, &next), "raising policy_epoch"),
                     kStep, "policy_epoch");
  return true;
}

WriteReport WriteTables(const Tables& tables, const TargetMaps& maps) {
  WriteReport report;
  WriteGroup(tables, maps, {"prefilter4"}, report);
  WriteGroup(tables, maps, {"prefilter6"}, report);
  WriteGroup(tables, maps, {"dns_ports"}, report);
  WriteGroup(tables, maps, {"dns_deny"}, report);
  WriteGroup(tables, maps, {"http_ports"}, report);
  // Rules before the identities that they are about, identities before the endpoints that enforce.
  const bool changed =
      WriteGroup(tables, maps, {"policy", "ipcache4", "ipcache6", "endpoints"}, report);
  const auto raised = RaisePolicyEpoch(maps, /*only_if_new=*/!changed);
  if (!raised.ok()) report.errors.push_back(raised.status());
  report.policy_changed = raised.value_or(false);
  WriteServiceGroup(tables.services.lists4, maps, {"services4", "backends4"}, report);
  WriteServiceGroup(tables.services.lists6, maps, {"services6", "backends6"}, report);
  std::ranges::sort(report.maps, {}, &MapReport::name);
  return report;
}

}  // namespace bonsai::tables
