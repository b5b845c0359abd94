// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/explain_setting.h"

#include <algorithm>

#include "agent/base/status.h"
#include "agent/plan/explain_objects.h"

namespace bonsai::plan {
namespace {

using object::Constant;
using object::Ref;
using object::RefKind;
using reachability::Place;
using settings::SettingSpec;

constexpr size_t kMostPlaces = 64;  // of one object

// Live code that loads the constant, one place a source line.
std::vector<Place> ReadsOf(const AnalyzedObject& object, const Constant& constant) {
  std::vector<Place> places;
  for (uint32_t f = 0; f < object.spec->functions.size(); ++f) {
    for (const Ref& ref : object.spec->functions[f].refs) {
      const bool refers = ref.kind == RefKind::kData && ref.index == constant.section &&
                          ref.offset >= constant.offset &&
                          ref.offset < int64_t{constant.offset} + constant.size;
      if (!refers || !object.liveness.functions[f].live_slots[ref.slot]) continue;
      Place place = reachability::PlaceAt(*object.spec, f, ref.slot);
      const bool known = std::any_of(places.begin(), places.end(), [&](const Place& other) {
        return SameLine(other, place);
      });
      if (!known && places.size() < kMostPlaces) places.push_back(std::move(place));
    }
  }
  return places;
}

std::optional<SettingAnswer::Use> UseIn(const AnalyzedObject& object, const SettingSpec& spec) {
  const auto& constants = object.spec->constants;
  const auto constant = std::find_if(constants.begin(), constants.end(), [&](const Constant& c) {
    return c.origin == object::ConstantOrigin::kSetting && c.name == spec.constant;
  });
  if (spec.constant.empty() || constant == constants.end()) return std::nullopt;
  SettingAnswer::Use use{.object = object.spec, .reads = ReadsOf(object, *constant)};
  for (const constants::NamedValue& value : object.constants.values) {
    if (value.name == spec.constant) use.value = value.value;
  }
  const auto index = static_cast<uint32_t>(constant - constants.begin());
  use.branches = DecidedBranches(object, kMostPlaces, [&](const auto& decision) {
    return std::find(decision.constants.begin(), decision.constants.end(), index) !=
           decision.constants.end();
  });
  return use;
}

std::vector<std::string> RequiredBy(const settings::Schema& schema, const std::string& key) {
  std::vector<std::string> keys;
  for (const auto& [other, spec] : schema.specs()) {
    const auto& needs = spec.requires_keys;
    if (std::find(needs.begin(), needs.end(), key) != needs.end()) keys.push_back(other);
  }
  return keys;
}

}  // namespace

absl::StatusOr<SettingAnswer> ExplainSetting(Trials& trials, const Inputs& inputs,
                                             const SettingSpec& spec) {
  const World& world = trials.base();
  SettingAnswer answer{.spec = spec,
                       .required_by = RequiredBy(*inputs.schema, spec.key),
                       .reload_class = ClassOfSetting(spec, world.plan)};
  for (const MapPlan& map : world.plan.maps) {
    if (map.sized_by == spec.key) answer.sizes.push_back(map.name);
  }
  for (const AnalyzedObject& object : world.objects) {
    if (auto use = UseIn(object, spec)) answer.uses.push_back(*std::move(use));
  }
  for (const std::string& value : trials.ValuesOf(spec)) {
    absl::StatusOr<World> changed = trials.With({{spec.key, value}});
    if (absl::IsInvalidArgument(changed.status())) continue;  // the plan refuses that value
    RETURN_IF_ERROR(changed.status());
    answer.effects.push_back(trials.EffectOf(*changed));
  }
  return answer;
}

}  // namespace bonsai::plan
