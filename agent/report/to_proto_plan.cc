// SPDX-License-Identifier: Apache-2.0
#include "agent/report/labels.h"
#include "agent/report/summary.h"
#include "agent/report/to_proto.h"

namespace bonsai::report {
namespace {

v1::ReloadClass ToClass(plan::ReloadClass reload_class) {
  switch (reload_class) {
    case plan::ReloadClass::kLive: return v1::RELOAD_CLASS_LIVE;
    case plan::ReloadClass::kReload: return v1::RELOAD_CLASS_RELOAD;
    case plan::ReloadClass::kMigrate: return v1::RELOAD_CLASS_MIGRATE;
  }
  return v1::RELOAD_CLASS_UNSPECIFIED;
}

v1::ChangeKind ToKind(plan::ChangeKind kind) {
  switch (kind) {
    case plan::ChangeKind::kAdded: return v1::CHANGE_KIND_ADDED;
    case plan::ChangeKind::kRemoved: return v1::CHANGE_KIND_REMOVED;
    case plan::ChangeKind::kChanged: return v1::CHANGE_KIND_CHANGED;
  }
  return v1::CHANGE_KIND_UNSPECIFIED;
}

v1::RefusalReason ToReason(plan::RefusalReason reason) {
  switch (reason) {
    case plan::RefusalReason::kSettings: return v1::REFUSAL_REASON_SETTINGS;
    case plan::RefusalReason::kInUse: return v1::REFUSAL_REASON_IN_USE;
    case plan::RefusalReason::kKernel: return v1::REFUSAL_REASON_KERNEL;
    case plan::RefusalReason::kPlan: return v1::REFUSAL_REASON_PLAN;
  }
  return v1::REFUSAL_REASON_UNSPECIFIED;
}

void FillMap(const plan::MapChange& from, v1::MapChange& to) {
  to.set_kind(ToKind(from.kind));
  to.set_name(from.name);
  to.set_feature(from.feature);
  to.set_type(MapTypeLabel(from.type));
  to.set_sized_by(from.sized_by);
  to.set_entries_before(from.entries_before);
  to.set_entries_after(from.entries_after);
  to.set_bytes_before(from.bytes_before);
  to.set_bytes_after(from.bytes_after);
  to.set_reason(from.reason);
}

void FillProgram(const plan::ProgramChange& from, v1::ProgramChange& to) {
  to.set_kind(ToKind(from.kind));
  to.set_object(from.object);
  to.set_name(from.name);
  to.set_tail_call(from.tail.has_value());
  if (from.tail) {
    to.set_tail_map(from.tail->map);
    to.set_tail_slot(from.tail->slot);
  }
  to.set_instructions_before(from.insns_before);
  to.set_instructions_after(from.insns_after);
  to.set_reason(from.reason);
}

void FillTotals(const plan::Totals& from, v1::PlanTotals& to) {
  to.set_maps(from.maps);
  to.set_bytes(from.map_bytes);
  to.set_programs(from.programs);
  to.set_tail_calls(from.tail_calls);
  to.set_live_instructions(from.live_insns);
}

}  // namespace

v1::PlanChangeResponse ToPlan(const plan::Change& change, uint64_t generation) {
  v1::PlanChangeResponse response;
  response.set_accepted(change.refusals.empty());
  response.set_planned(change.planned);
  for (const plan::Refusal& refusal : change.refusals) {
    auto& row = *response.add_refusals();
    row.set_reason(ToReason(refusal.reason));
    row.set_key(refusal.key);
    row.set_message(refusal.message);
    row.set_nearest(refusal.nearest);
  }
  response.set_generation(generation);
  response.set_bytes_measured(change.bytes_measured);
  FillTotals(change.before, *response.mutable_before());
  if (!change.planned) return response;
  FillTotals(change.after, *response.mutable_after());
  response.set_reload_class(ToClass(change.reload_class));
  for (const plan::SettingChange& setting : change.settings) {
    auto& row = *response.add_settings();
    row.set_key(setting.key);
    row.set_before(setting.before);
    row.set_after(setting.after);
    row.set_reload_class(ToClass(setting.reload_class));
  }
  for (const plan::MapChange& map : change.maps) FillMap(map, *response.add_maps());
  for (const plan::ProgramChange& program : change.programs) {
    FillProgram(program, *response.add_programs());
  }
  return response;
}

void AddCosts(const std::vector<plan::FeatureCost>& costs, v1::ListFeaturesResponse& response) {
  for (v1::Feature& row : *response.mutable_features()) {
    for (const plan::FeatureCost& cost : costs) {
      if (cost.setting != row.setting()) continue;
      auto& to = *row.mutable_cost();
      to.set_bytes(cost.map_bytes);
      to.set_maps(cost.maps);
      to.set_programs(cost.programs);
      to.set_instructions(cost.instructions);
      for (const std::string& key : cost.with) to.add_with(key);
    }
  }
}

}  // namespace bonsai::report
