// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/explain_objects.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace bonsai::plan {
namespace {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;
using reachability::Deciding;
using reachability::Step;
using reachability::Thing;
using reachability::ThingKind;

bool IsLoaded(const World& world, const AnalyzedObject& object, uint32_t program) {
  const ProgramPlan* plan =
      world.plan.FindProgram(object.spec->name, object.spec->programs[program].name);
  return plan != nullptr && plan->load;
}

bool Uses(const AnalyzedObject& object, uint32_t program, Thing thing) {
  const reachability::ProgramLiveness& live = object.liveness.programs[program];
  switch (thing.kind) {
    case ThingKind::kMap: return live.maps.contains(thing.index);
    case ThingKind::kProgram: return program == thing.index;
    case ThingKind::kFunction: return live.functions.contains(thing.index);
  }
  return false;
}

bool IsUsed(const World& world, const AnalyzedObject& object, Thing thing) {
  for (uint32_t p = 0; p < object.spec->programs.size(); ++p) {
    if (IsLoaded(world, object, p) && Uses(object, p, thing)) return true;
  }
  return false;
}

// What cut the entry programs of an object down to nothing.
std::vector<Deciding> WhyInert(const AnalyzedObject& object) {
  std::set<uint32_t> functions;
  for (uint32_t p = 0; p < object.spec->programs.size(); ++p) {
    const auto& live = object.liveness.programs[p];
    if (live.live) functions.insert(live.functions.begin(), live.functions.end());
  }
  return DecidedBranches(object, reachability::kMaxDeciding, [&](const auto& decision) {
    return functions.contains(decision.function);
  });
}

// The first live place that reads the section, in the object's order of functions.
std::vector<Step> WayToSection(const AnalyzedObject& object, uint32_t section) {
  const ObjectSpec& spec = *object.spec;
  for (uint32_t p = 0; p < spec.programs.size(); ++p) {
    for (const auto& [function, ranges] : object.liveness.programs[p].code) {
      for (const Ref& ref : spec.functions[function].refs) {
        const auto runs = [&](const auto& r) { return r.first <= ref.slot && ref.slot <= r.second; };
        if (ref.kind != RefKind::kData || ref.index != section) continue;
        if (std::none_of(ranges.begin(), ranges.end(), runs)) continue;
        const uint32_t own = spec.programs[p].function;
        return {{.kind = Step::Kind::kEntry, .program = p,
                 .place = reachability::PlaceAt(spec, own, 0), .name = spec.programs[p].name},
                {.kind = Step::Kind::kReference, .program = p,
                 .place = reachability::PlaceAt(spec, function, ref.slot),
                 .name = spec.data_sections[section].name}};
      }
    }
  }
  return {};
}

ObjectAnswer AnswerForSection(const World& world, const AnalyzedObject& object,
                              uint32_t section) {
  const MapPlan* map =
      world.plan.FindMap(object.spec->name + object.spec->data_sections[section].name);
  ObjectAnswer answer{.object = object.spec, .used = map != nullptr && map->create};
  answer.why.live = answer.used;
  answer.why.referred = true;
  answer.inert = !answer.used && object.liveness.data_sections[section];
  if (answer.used) {
    answer.why.witness = WayToSection(object, section);
  } else {
    answer.why.deciding = WhyInert(object);
  }
  return answer;
}

}  // namespace

bool SameLine(const reachability::Place& a, const reachability::Place& b) {
  if (a.file.empty()) return a.function == b.function && a.slot == b.slot;
  return std::tie(a.file, a.line) == std::tie(b.file, b.line);
}

Deciding InWords(const AnalyzedObject& object, const reachability::Decision& decision) {
  Deciding deciding{.place = reachability::PlaceAt(*object.spec, decision.function, decision.slot),
                    .taken = decision.taken};
  for (const uint32_t index : decision.constants) {
    const std::string& name = object.spec->constants[index].name;
    std::string shown;
    for (const constants::NamedValue& value : object.constants.values) {
      if (value.name == name) shown = value.value;
    }
    deciding.constants.push_back({index, name, shown});
  }
  return deciding;
}

ObjectAnswer AnswerFor(const World& world, const Spot& spot) {
  const AnalyzedObject& object = world.objects[spot.object];
  if (spot.section) return AnswerForSection(world, object, *spot.section);
  const reachability::Explainer explainer({*object.spec, object.constants, object.liveness});
  ObjectAnswer answer{.object = object.spec,
                      .used = IsUsed(world, object, spot.thing),
                      .why = explainer.Of(spot.thing)};
  if (answer.used || !answer.why.live) return answer;
  answer.inert = true;
  answer.why.live = false;
  answer.why.witness.clear();
  answer.why.deciding = WhyInert(object);
  return answer;
}

}  // namespace bonsai::plan
