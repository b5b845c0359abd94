// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/collect.h"

#include <absl/cleanup/cleanup.h>

#include <algorithm>
#include <set>
#include <utility>

namespace bonsai::reachability {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;

Collector::Collector(const Fixpoint& fixpoint, const ObjectSpec& object)
    : fixpoint_(fixpoint),
      engines_(fixpoint.engines()),
      object_(object),
      targets_(fixpoint.targets()),
      places_(object.functions.size()) {
  for (const auto& engine : engines_) {
    seen_.emplace_back(engine == nullptr ? 0 : engine->context_count(), false);
  }
}

void Collector::Collect(Liveness& liveness) {
  std::vector<Reach> reaches;
  for (const auto& [program, roots] : fixpoint_.roots()) {
    reaches.push_back(Follow(program, roots, liveness.programs[program]));
  }
  // They read the same, and write nothing that lies near to what the other writes.
  Decided decided;
  const auto decide = [&] { decided = Decide(); };
  const bool beside = engines_.size() > 1 && engines_[1] != nullptr;
  const absl::Cleanup settle = [this] { fixpoint_.worker().Settle(); };
  if (beside) fixpoint_.worker().Do(decide);
  AddPrograms(reaches, liveness);
  if (beside) {
    fixpoint_.worker().Wait();
  } else {
    decide();
  }
  liveness.live_insns = decided.live_insns;
  liveness.total_insns = static_cast<uint32_t>(object_.SlotCount());
  liveness.decisions = std::move(decided.branches);
  liveness.tail_calls = std::move(decided.tail_calls);
}

Collector::Reach Collector::Follow(uint32_t index, const Roots& roots, ProgramLiveness& program) {
  Reach reach{.program = index, .places = {}};
  Engine& engine = *engines_[roots.engine];
  std::vector<uint32_t> reached = roots.contexts;
  std::set<uint32_t> seen(reached.begin(), reached.end());
  for (size_t next = 0; next < reached.size(); ++next) {
    const Place place{&engine, reached[next]};
    reach.places[(*place).function].push_back(place);
    for (const uint32_t callee : (*place).callees) {
      if (seen.insert(callee).second) reached.push_back(callee);
    }
    for (const TailUse& use : (*place).tail_uses) AddTails(use, program);
    if (seen_[roots.engine][place.context]) continue;
    seen_[roots.engine][place.context] = true;
    places_[(*place).function].push_back(place);
  }
  return reach;
}

void Collector::AddPrograms(const std::vector<Reach>& reaches, Liveness& liveness) {
  for (const Reach& reach : reaches) {
    ProgramLiveness& program = liveness.programs[reach.program];
    program.live = true;
    maps_.assign(object_.maps.size(), false);
    for (const auto& [function, places] : reach.places) {
      liveness.functions[function].live = true;
      program.functions.insert(program.functions.end(), function);
      AddCode(function, places, program, liveness);
    }
    for (uint32_t map = 0; map < maps_.size(); ++map) {
      if (!maps_[map]) continue;
      program.maps.insert(program.maps.end(), map);
      liveness.maps[map] = true;
    }
  }
}

Collector::Decided Collector::Decide() const {
  Decided decided;
  for (uint32_t i = 0; i < object_.functions.size(); ++i) {
    if (!places_[i].empty()) AddFacts(i, decided);
  }
  AddTailDecisions(decided);
  return decided;
}

// By place: what is known of each block.
std::vector<const BlockFact*> Collector::FactsAt(const Places& places) {
  std::vector<const BlockFact*> facts;
  facts.reserve(places.size());
  for (const Place& place : places) facts.push_back((*place).facts.data());
  return facts;
}

void Collector::AddCode(uint32_t index, const Places& places, ProgramLiveness& program,
                        Liveness& liveness) {
  const object::Function& function = object_.functions[index];
  const Cfg& cfg = places[0].engine->CfgOf(index);
  SlotRanges& ranges = program.code[index];
  std::vector<bool>& live = liveness.functions[index].live_slots;
  const std::vector<const BlockFact*> facts = FactsAt(places);
  for (uint32_t number = 0; number < cfg.blocks.size(); ++number) {
    const bool reached = std::any_of(facts.begin(), facts.end(), [&](const BlockFact* one) {
      return (one[number].flags & kReached) != 0;
    });
    if (!reached) continue;
    const Block& block = cfg.blocks[number];
    if (!ranges.empty() && ranges.back().second + 1 == block.begin) {
      ranges.back().second = block.end - 1;
    } else {
      ranges.emplace_back(block.begin, block.end - 1);
    }
    for (size_t i = block.first_ref; i < function.refs.size(); ++i) {
      const Ref& ref = function.refs[i];
      if (ref.slot >= block.end) break;
      if (ref.kind == RefKind::kMap || ref.kind == RefKind::kArena) maps_[ref.index] = true;
      if (ref.kind == RefKind::kData) liveness.data_sections[ref.index] = true;
    }
  }
  for (const auto& [first, last] : ranges) {
    std::fill(live.begin() + first, live.begin() + last + 1, true);
  }
}

// Slots that a tail call may jump to: those the object fills, and those it names.
void Collector::AddTails(const TailUse& use, ProgramLiveness& program) {
  const auto add = [&](uint32_t map, uint32_t slot) {
    const std::string& name = object_.maps[map].name;
    for (const object::TailSlot& known : program.tail_calls) {
      if (known.slot == slot && known.map == name) return;
    }
    program.tail_calls.push_back({name, slot});
  };
  // A slot that nothing declares may still be filled from outside.
  if (use.map && !use.slots.empty()) {
    for (const uint64_t slot : use.slots) add(*use.map, static_cast<uint32_t>(slot));
    return;
  }
  program.tail_calls_unknown_slot = true;
  for (const TailTarget& target : targets_) {
    if (MayJumpTo(use, target.map, target.slot)) add(target.map, target.slot);
  }
}

std::vector<uint32_t> Collector::Constants(const std::vector<Grounds>& grounds) {
  std::vector<uint32_t> constants;
  for (const Grounds& ground : grounds) {
    const auto members = ground.engine->provenance().Members(ground.origin);
    constants.insert(constants.end(), members.begin(), members.end());
  }
  if (grounds.size() < 2) return constants;  // sorted
  std::sort(constants.begin(), constants.end());
  constants.erase(std::unique(constants.begin(), constants.end()), constants.end());
  return constants;
}

void Collector::AddFacts(uint32_t function, Decided& decided) const {
  const Places& places = places_[function];
  const Cfg& cfg = places[0].engine->CfgOf(function);
  const std::vector<const BlockFact*> facts = FactsAt(places);
  std::vector<Grounds> grounds;
  for (uint32_t number = 0; number < cfg.blocks.size(); ++number) {
    const Block& block = cfg.blocks[number];
    uint8_t flags = 0;
    for (const BlockFact* one : facts) flags |= one[number].flags;
    if (flags & kReached) decided.live_insns += block.end - block.begin;
    const bool taken = (flags & kTaken) != 0;
    if (taken == ((flags & kNotTaken) != 0)) continue;
    grounds.clear();
    for (size_t i = 0; i < places.size(); ++i) {
      const Origin origin = facts[i][number].origin;
      if (origin != 0) grounds.push_back({places[i].engine, origin});
    }
    decided.branches.push_back({function, block.last(), taken, Constants(grounds)});
  }
}

void Collector::AddTailDecisions(Decided& decided) const {
  std::map<std::pair<uint32_t, uint32_t>, std::vector<Grounds>> calls;
  for (const Places& places : places_) {
    for (const Place& place : places) {
      for (const TailUse& use : (*place).tail_uses) {
        calls[{(*place).function, use.call}].push_back({place.engine, use.origin});
      }
    }
  }
  for (const auto& [call, grounds] : calls) {
    decided.tail_calls.push_back({call.first, call.second, true, Constants(grounds)});
  }
}

}  // namespace bonsai::reachability
