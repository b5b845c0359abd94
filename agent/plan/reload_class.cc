// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/reload_class.h"

#include <linux/bpf.h>

#include <algorithm>

#include "agent/base/status.h"

namespace bonsai::plan {
namespace {

// LOCAL_FREE_TARGET of kernel/bpf/bpf_lru_list.c: free entries that a CPU may hold for itself.
constexpr uint64_t kLruFreePerCpu = 128;

bool IsLru(uint32_t type) {
  return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

// Equal instructions and constants are equal programs; the objects on disk are read once, so the
// instructions are.
bool SamePrograms(const LoadPlan& a, const LoadPlan& b) {
  return std::equal(a.objects.begin(), a.objects.end(), b.objects.begin(), b.objects.end(),
                    [](const ObjectPlan& x, const ObjectPlan& y) {
                      return x.name == y.name && x.needed == y.needed &&
                             (!x.needed || x.sections == y.sections);
                    });
}

bool SameMaps(const LoadPlan& a, const LoadPlan& b) {
  return std::equal(a.maps.begin(), a.maps.end(), b.maps.begin(), b.maps.end(),
                    [](const MapPlan& x, const MapPlan& y) {
                      return x.name == y.name && x.create == y.create &&
                             (!x.create || x.max_entries == y.max_entries);
                    });
}

}  // namespace

const char* ToString(ReloadClass reload_class) {
  switch (reload_class) {
    case ReloadClass::kLive: return "live";
    case ReloadClass::kReload: return "reload";
    case ReloadClass::kMigrate: return "migrate";
  }
  return "unknown";
}

std::vector<Resize> Resizes(const LoadPlan& from, const LoadPlan& to) {
  std::vector<Resize> resizes;
  for (const MapPlan& after : to.maps) {
    const MapPlan* before = from.FindMap(after.name);
    if (before == nullptr || !before->create || !after.create || !after.shared()) continue;
    if (before->max_entries == after.max_entries || after.resized_empty) continue;
    resizes.push_back({after.name, after.sized_by, before->max_entries, after.max_entries});
  }
  return resizes;
}

ReloadClass ClassOfChange(const LoadPlan& from, const LoadPlan& to) {
  if (!Resizes(from, to).empty()) return ReloadClass::kMigrate;
  if (SamePrograms(from, to) && SameMaps(from, to)) return ReloadClass::kLive;
  return ReloadClass::kReload;
}

ReloadClass ClassOfSetting(const settings::SettingSpec& spec, const LoadPlan& plan) {
  if (spec.target == settings::Target::kConstant) return ReloadClass::kReload;
  const bool sizes = std::any_of(plan.maps.begin(), plan.maps.end(), [&](const MapPlan& map) {
    return map.sized_by == spec.key;
  });
  return sizes ? ReloadClass::kMigrate : ReloadClass::kLive;
}

uint64_t RoomFor(uint32_t map_type, uint64_t entries, uint32_t possible_cpus) {
  return IsLru(map_type) && entries > 0 ? entries + kLruFreePerCpu * possible_cpus : entries;
}

absl::Status CheckFits(const LoadPlan& from, const LoadPlan& to, const EntriesInUse& in_use,
                       uint32_t possible_cpus) {
  std::string refused;
  for (const Resize& resize : Resizes(from, to)) {
    const auto used = in_use.find(resize.map);
    if (resize.to > resize.from || used == in_use.end()) continue;
    const uint32_t type = to.FindMap(resize.map)->type;
    const uint64_t least = RoomFor(type, used->second, possible_cpus);
    if (least <= resize.to) continue;
    refused += fmt::format("{}{} = {} is less than map {} needs: {} entries are in use{}",
                           refused.empty() ? "" : "\n",
                           resize.setting.empty() ? "its size" : resize.setting, resize.to,
                           resize.map, used->second,
                           IsLru(type) ? fmt::format(", for which it has to be at least {}", least)
                                       : "");
  }
  return refused.empty() ? absl::OkStatus() : absl::FailedPreconditionError(refused);
}

}  // namespace bonsai::plan
