// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/explain.h"

#include <algorithm>
#include <map>

#include "agent/base/status.h"
#include "agent/plan/explain_names.h"
#include "agent/plan/explain_objects.h"
#include "agent/plan/explain_remedies.h"
#include "agent/plan/explain_setting.h"

namespace bonsai::plan {
namespace {

using object::ObjectSpec;
using reachability::ThingKind;

uint32_t CountLive(const std::vector<bool>& slots) {
  return static_cast<uint32_t>(std::count(slots.begin(), slots.end(), true));
}

void DescribeMap(const World& world, const CostFacts& costs, const std::string& name,
                 ThingAnswer& answer) {
  const MapPlan* map = world.plan.FindMap(name);
  if (map == nullptr) return;
  answer.exists = map->create;
  answer.reason = map->reason;
  answer.feature = map->feature;
  answer.sized_by = map->sized_by;
  answer.max_entries = map->max_entries;
  answer.bytes = map->bytes;
  answer.full_bytes = MapBytes(map->type, map->key_size, map->value_size, map->max_entries,
                               map->map_flags, costs, map->max_entries);
}

void DescribeCode(const World& world, const Spot& spot, ThingAnswer& answer) {
  const AnalyzedObject& object = world.objects[spot.object];
  if (spot.thing.kind == ThingKind::kProgram) {
    const object::Program& program = object.spec->programs[spot.thing.index];
    const ProgramPlan* plan = world.plan.FindProgram(object.spec->name, program.name);
    if (plan == nullptr) return;
    answer.reason = plan->reason;
    answer.instructions += plan->slots;
    answer.live_instructions += plan->live_slots;
    return;
  }
  const uint32_t function = spot.thing.index;
  answer.instructions +=
      static_cast<uint32_t>(object.spec->functions[function].insns.size());
  answer.live_instructions += CountLive(object.liveness.functions[function].live_slots);
}

absl::StatusOr<ThingAnswer> ExplainThing(Trials& trials, const CostFacts& costs, Subject subject,
                                         const Found& found) {
  const World& world = trials.base();
  ThingAnswer answer;
  if (subject == Subject::kMap) DescribeMap(world, costs, found.name, answer);
  for (const Spot& spot : found.spots) {
    if (subject != Subject::kMap) DescribeCode(world, spot, answer);
    answer.objects.push_back(AnswerFor(world, spot));
  }
  if (subject != Subject::kMap) {
    answer.exists = std::any_of(answer.objects.begin(), answer.objects.end(),
                                [](const ObjectAnswer& object) { return object.used; });
  }
  std::erase_if(answer.objects, [&](const ObjectAnswer& object) {
    return answer.exists ? !object.used : !object.inert && !object.why.referred;
  });
  ASSIGN_OR_RETURN(Remedies remedies, FindRemedies(trials, subject, found, answer.exists));
  answer.alone = std::move(remedies.alone);
  answer.together = std::move(remedies.together);
  return answer;
}

}  // namespace

absl::StatusOr<Answer> Explain(const Inputs& inputs, const settings::Settings& settings,
                               Subject subject, const std::string& name,
                               const Cancelled& cancelled) {
  Answer answer{.subject = subject};
  // Names are looked up before anything is analysed.
  if (subject == Subject::kSetting) {
    ASSIGN_OR_RETURN(const settings::SettingSpec* spec, FindSetting(inputs, name));
    answer.name = spec->key;
    ASSIGN_OR_RETURN(Trials trials, Trials::Make(inputs, settings, cancelled));
    ASSIGN_OR_RETURN(answer.setting, ExplainSetting(trials, inputs, *spec));
    return answer;
  }
  ASSIGN_OR_RETURN(const Found found, FindThing(inputs, subject, name));
  answer.name = found.name;
  ASSIGN_OR_RETURN(Trials trials, Trials::Make(inputs, settings, cancelled));
  ASSIGN_OR_RETURN(answer.thing, ExplainThing(trials, inputs.costs, subject, found));
  return answer;
}

}  // namespace bonsai::plan
