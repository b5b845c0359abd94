// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/reachability/explain_words.h"
#include "agent/reachability/witness.h"

namespace bonsai::reachability {

std::vector<Step> Witnesses::To(Thing thing) const {
  switch (thing.kind) {
    case ThingKind::kMap:
      return PathToMap(thing.index);
    case ThingKind::kProgram:
      return PathTo(program_visit_[thing.index]);
    case ThingKind::kFunction:
      return PathTo(function_visit_[thing.index]);
  }
  return {};
}

std::vector<Step> Witnesses::PathToMap(uint32_t map) const {
  std::vector<uint32_t> held{map};
  while (held_by_[held.back()] != kNone) held.push_back(held_by_[held.back()]);
  const Use use = map_use_[held.back()];
  std::vector<Step> steps = PathTo(use.visit);
  if (use.visit == kNone) return steps;
  const Visit& visit = visits_[use.visit];
  const Place place = PlaceAt(subject_.object, areas_[visit.area].function, use.slot);
  for (Step::Kind kind = Step::Kind::kReference; !held.empty(); kind = Step::Kind::kHeld) {
    steps.push_back({.kind = kind, .program = visit.program, .place = place,
                     .name = subject_.object.maps[held.back()].name});
    held.pop_back();
  }
  return steps;
}

std::vector<Step> Witnesses::PathTo(uint32_t visit) const {
  std::vector<Step> steps;
  for (; visit != kNone; visit = visits_[visit].parent) AddStep(visits_[visit], steps);
  std::reverse(steps.begin(), steps.end());
  return steps;
}

// The step by which the walk came to this visit, if it matters.
void Witnesses::AddStep(const Visit& visit, std::vector<Step>& steps) const {
  const object::ObjectSpec& object = subject_.object;
  const uint32_t function = areas_[visit.area].function;
  Step step{.kind = visit.kind, .program = visit.program};
  if (visit.kind == Step::Kind::kEntry || visit.kind == Step::Kind::kTailCall) {
    step.name = object.programs[visit.program].name;
    if (visit.tail != nullptr) step.tail = *visit.tail;
  } else {
    step.name = object.functions[function].name;
  }
  const uint32_t from =
      visit.parent == kNone ? function : areas_[visits_[visit.parent].area].function;
  if (visit.kind == Step::Kind::kBranch) {
    const Decision* decision = decisions_[NodeOf(visits_[visit.parent])];
    if (decision == nullptr || decision->constants.empty()) return;
    step.taken = decision->taken;
    for (const uint32_t constant : decision->constants) {
      step.constants.push_back({constant, object.constants[constant].name, values_[constant]});
    }
  }
  step.place = PlaceAt(object, from, visit.slot);
  steps.push_back(std::move(step));
}

}  // namespace bonsai::reachability
