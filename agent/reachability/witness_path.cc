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
  uint32_t last = visit;    // on the path in the function at hand
  std::vector<bool> leads;  // by block of that: whether the code leads to the last
  for (; visit != kNone; visit = visits_[visit].parent) {
    const bool first = visits_[visit].kind != Step::Kind::kBranch;
    const Decision* decision = first ? nullptr : decisions_[NodeOf(visits_[visits_[visit].parent])];
    if (decision != nullptr && !decision->constants.empty()) {
      if (leads.empty()) leads = BlocksLeadingTo(visits_[last]);
      const Block& block = graph_.BlockOf(NodeOf(visits_[visits_[visit].parent]));
      const uint32_t other = decision->taken ? block.next : block.target;
      steps.push_back(BranchStep(visits_[visit], *decision));
      steps.back().needed = other == kNoBlock || !leads[other];
    } else if (first) {
      steps.push_back(StepTo(visits_[visit]));
      last = visits_[visit].parent;
      leads.clear();
    }
  }
  std::reverse(steps.begin(), steps.end());
  return steps;
}

std::vector<bool> Witnesses::BlocksLeadingTo(const Visit& visit) const {
  const uint32_t function = areas_[visit.area].function;
  std::vector<bool> leads(graph_.CfgOf(function).blocks.size(), false);
  std::vector<uint32_t> left{visit.block};
  leads[visit.block] = true;
  while (!left.empty()) {
    const uint32_t node = graph_.NodeOf(function, left.back());
    left.pop_back();
    for (uint32_t i = before_offset_[node]; i < before_offset_[node + 1]; ++i) {
      const uint32_t block = before_[i] - graph_.Entry(function);
      if (!leads[block]) left.push_back(block);
      leads[block] = true;
    }
  }
  return leads;
}

Step Witnesses::BranchStep(const Visit& visit, const Decision& decision) const {
  Step step{.kind = Step::Kind::kBranch, .program = visit.program,
            .place = PlaceAt(subject_.object, decision.function, decision.slot),
            .taken = decision.taken};
  for (const uint32_t constant : decision.constants) {
    step.constants.push_back(
        {constant, subject_.object.constants[constant].name, values_[constant]});
  }
  return step;
}

// The step by which the walk came to this function.
Step Witnesses::StepTo(const Visit& visit) const {
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
  step.place = PlaceAt(object, from, visit.slot);
  return step;
}

}  // namespace bonsai::reachability
