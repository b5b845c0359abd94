// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/change.h"

#include <algorithm>
#include <set>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"
#include "agent/settings/text.h"

namespace bonsai::plan {
namespace {

using settings::Settings;

// One refusal a line of a message; a line of settings::Parse begins with its key.
void AddRefusals(const std::string& message, RefusalReason reason, const settings::Schema& schema,
                 std::vector<Refusal>& refusals) {
  for (const std::string& line : settings::Split(message, '\n')) {
    Refusal refusal{.reason = reason, .message = line};
    if (reason == RefusalReason::kSettings) {
      refusal.key = line.substr(0, line.find(':'));
      if (schema.Find(refusal.key) == nullptr) refusal.nearest = schema.Nearest(refusal.key);
    }
    refusals.push_back(std::move(refusal));
  }
}

// A constant that some object of a plan has been loaded with, or would be.
bool IsUsed(const LoadPlan& plan, const std::string& constant) {
  return std::any_of(plan.objects.begin(), plan.objects.end(), [&](const ObjectPlan& object) {
    const auto& values = object.constants.values;
    return object.needed && std::any_of(values.begin(), values.end(), [&](const auto& value) {
             return value.name == constant;
           });
  });
}

// What this setting, changed as it is, asks for: never more than ClassOfSetting.
ReloadClass ClassInChange(const settings::SettingSpec& spec, const LoadPlan& from,
                          const LoadPlan& to) {
  const ReloadClass most = ClassOfSetting(spec, to);
  if (most == ReloadClass::kReload) {
    return IsUsed(from, spec.constant) || IsUsed(to, spec.constant) ? most : ReloadClass::kLive;
  }
  if (most == ReloadClass::kLive) return most;
  const std::vector<Resize> resizes = Resizes(from, to);
  const bool resized = std::any_of(resizes.begin(), resizes.end(), [&](const Resize& resize) {
    return resize.setting == spec.key;
  });
  return resized ? most : ReloadClass::kLive;
}

std::vector<SettingChange> DiffSettings(const settings::Schema& schema, const Settings* before,
                                        const Settings& after, const LoadPlan& from,
                                        const LoadPlan& to) {
  std::vector<SettingChange> changes;
  for (const auto& [key, spec] : schema.specs()) {
    const settings::Value& now =
        before != nullptr ? before->values().at(key) : spec.default_value;
    const settings::Value& then = after.values().at(key);
    if (now == then) continue;
    changes.push_back({key, settings::Format(now), settings::Format(then),
                       ClassInChange(spec, from, to)});
  }
  return changes;
}

const MapUse* FindUse(const MapUses& uses, const std::string& name) {
  const auto use = uses.find(name);
  return use != uses.end() ? &use->second : nullptr;
}

uint64_t BytesBefore(const MapPlan& map, const MapUses& uses) {
  const MapUse* use = FindUse(uses, map.name);
  return use != nullptr ? use->bytes : map.bytes;
}

// A map that stays takes what it takes; one that is made anew at another size takes its entries along.
uint64_t BytesAfter(const MapPlan& map, const LoadPlan& from, const MapUses& uses,
                    const CostFacts& costs) {
  const MapPlan* before = from.FindMap(map.name);
  const MapUse* use = FindUse(uses, map.name);
  if (before == nullptr || !before->create || use == nullptr) return map.bytes;
  if (before->max_entries == map.max_entries) return use->bytes;
  return MapBytes(map.type, map.key_size, map.value_size, map.max_entries, map.map_flags, costs,
                  use->entries.value_or(0));
}

class Differ {
 public:
  Differ(const LoadPlan& from, const LoadPlan& to, const MapUses& uses, const CostFacts& costs)
      : from_(from), to_(to), uses_(uses), costs_(costs) {}

  std::vector<MapChange> Maps() const {
    std::map<std::string, MapChange> changes;
    for (const MapPlan& map : from_.maps) {
      if (!map.create) continue;
      MapChange& change = changes[map.name] = Describe(map);
      change.kind = ChangeKind::kRemoved;
      change.entries_before = map.max_entries;
      change.bytes_before = BytesBefore(map, uses_);
    }
    for (const MapPlan& map : to_.maps) {
      const auto known = changes.find(map.name);
      if (!map.create) {
        if (known != changes.end()) known->second.reason = map.reason;
        continue;
      }
      MapChange change = Describe(map);
      change.kind = ChangeKind::kAdded;
      if (known != changes.end()) {
        change.kind = ChangeKind::kChanged;
        change.entries_before = known->second.entries_before;
        change.bytes_before = known->second.bytes_before;
      }
      change.entries_after = map.max_entries;
      change.bytes_after = BytesAfter(map, from_, uses_, costs_);
      changes[map.name] = std::move(change);
    }
    std::vector<MapChange> result;
    for (auto& [name, change] : changes) {
      const bool same = change.kind == ChangeKind::kChanged &&
                        change.entries_before == change.entries_after;
      if (!same) result.push_back(std::move(change));
    }
    return result;
  }

  std::vector<ProgramChange> Programs() const {
    std::vector<ProgramChange> changes;
    for (const ProgramPlan& after : to_.programs) {
      const ProgramPlan* before = from_.FindProgram(after.object, after.name);
      const bool was = before != nullptr && before->load;
      if (!was && !after.load) continue;
      ProgramChange change{.object = after.object, .name = after.name, .reason = after.reason};
      if (after.is_tail) change.tail = TailCall{after.tail_map, after.tail_slot};
      if (was) change.insns_before = before->live_slots;
      if (after.load) change.insns_after = after.live_slots;
      change.kind = !was          ? ChangeKind::kAdded
                    : !after.load ? ChangeKind::kRemoved
                                  : ChangeKind::kChanged;
      if (was && after.load && change.insns_before == change.insns_after) continue;
      changes.push_back(std::move(change));
    }
    return changes;
  }

  Totals After() const {
    Totals totals = TotalsOf(to_, {});
    totals.map_bytes = 0;
    for (const MapPlan& map : to_.maps) {
      if (map.create) totals.map_bytes += BytesAfter(map, from_, uses_, costs_);
    }
    return totals;
  }

 private:
  static MapChange Describe(const MapPlan& map) {
    return {.name = map.name, .feature = map.feature, .sized_by = map.sized_by, .type = map.type,
            .reason = map.reason};
  }

  const LoadPlan& from_;
  const LoadPlan& to_;
  const MapUses& uses_;
  const CostFacts& costs_;
};

void CheckKernel(const Inputs& inputs, const LoadPlan& plan, std::vector<Refusal>& refusals) {
  const auto& missing = inputs.missing_map_types;
  for (const MapPlan& map : plan.maps) {
    const std::string type = kernel::MapTypeName(map.type);
    if (!map.create || std::find(missing.begin(), missing.end(), type) == missing.end()) continue;
    refusals.push_back({.reason = RefusalReason::kKernel,
                        .message = fmt::format("map {} of feature {} is of type {}, which this "
                                               "kernel does not have", map.name, map.feature, type)});
  }
}

void CheckInUse(const Inputs& inputs, const LoadPlan& from, const LoadPlan& to,
                const MapUses& uses, std::vector<Refusal>& refusals) {
  EntriesInUse in_use;
  for (const auto& [name, use] : uses) {
    if (use.entries) in_use[name] = *use.entries;
  }
  const absl::Status fits = CheckFits(from, to, in_use, inputs.costs.possible_cpus);
  if (fits.ok()) return;
  AddRefusals(base::Message(fits), RefusalReason::kInUse, *inputs.schema, refusals);
}

}  // namespace

Totals TotalsOf(const LoadPlan& plan, const MapUses& maps) {
  Totals totals;
  for (const MapPlan& map : plan.maps) {
    if (!map.create) continue;
    ++totals.maps;
    totals.map_bytes += BytesBefore(map, maps);
  }
  for (const ProgramPlan& program : plan.programs) {
    if (program.load) ++(program.is_tail ? totals.tail_calls : totals.programs);
  }
  for (const ObjectPlan& object : plan.objects) {
    if (object.needed) totals.live_insns += object.live_insns;
  }
  return totals;
}

absl::StatusOr<Change> PlanChange(const Inputs& inputs, const Before& before,
                                  const settings::RawSettings& wanted,
                                  const Cancelled& cancelled) {
  const LoadPlan nothing;
  const LoadPlan& from = before.plan != nullptr ? *before.plan : nothing;
  Change change{.before = TotalsOf(from, before.maps), .bytes_measured = inputs.costs.measured};
  const absl::StatusOr<Settings> settings = settings::Parse(*inputs.schema, wanted);
  if (!settings.ok()) {
    AddRefusals(base::Message(settings.status()), RefusalReason::kSettings, *inputs.schema,
                change.refusals);
    return change;
  }
  const absl::StatusOr<LoadPlan> to =
      MakeFor(inputs, *settings, Reasons::kExplained, cancelled);
  if (absl::IsInvalidArgument(to.status())) {
    AddRefusals(base::Message(to.status()), RefusalReason::kPlan, *inputs.schema, change.refusals);
    return change;
  }
  RETURN_IF_ERROR(to.status());
  change.planned = true;
  const Differ differ(from, *to, before.maps, inputs.costs);
  change.settings = DiffSettings(*inputs.schema, before.settings, *settings, from, *to);
  change.maps = differ.Maps();
  change.programs = differ.Programs();
  change.after = differ.After();
  change.reload_class = ClassOfChange(from, *to);
  CheckInUse(inputs, from, *to, before.maps, change.refusals);
  CheckKernel(inputs, *to, change.refusals);
  return change;
}

}  // namespace bonsai::plan
