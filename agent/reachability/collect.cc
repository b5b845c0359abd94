// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/collect.h"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace bonsai::reachability {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;

std::vector<TailTarget> TailTargets(const ObjectSpec& object) {
  std::unordered_map<std::string_view, uint32_t> maps, programs;
  for (uint32_t i = 0; i < object.maps.size(); ++i) maps.emplace(object.maps[i].name, i);
  for (uint32_t i = 0; i < object.programs.size(); ++i) programs.emplace(object.programs[i].name, i);
  std::vector<TailTarget> targets;
  for (uint32_t i = 0; i < object.programs.size(); ++i) {
    if (!object.programs[i].tail) continue;
    const auto map = maps.find(object.programs[i].tail->map);
    if (map != maps.end()) targets.push_back({map->second, object.programs[i].tail->slot, i});
  }
  for (uint32_t map = 0; map < object.maps.size(); ++map) {
    for (const auto& [slot, name] : object.maps[map].initial_programs) {
      const auto program = programs.find(name);
      if (program != programs.end()) targets.push_back({map, slot, program->second});
    }
  }
  return targets;
}

bool MayJumpTo(const TailUse& use, uint32_t map, uint32_t slot) {
  return (!use.map || *use.map == map) && use.slot.Contains(slot) &&
         (use.slots.empty() || use.slots.Contains(slot));
}

Collector::Collector(Engine& engine, const ObjectSpec& object)
    : engine_(engine),
      object_(object),
      targets_(TailTargets(object)),
      contexts_(object.functions.size()),
      seen_(engine.context_count(), false) {}

void Collector::AddProgram(uint32_t index, const std::vector<uint32_t>& roots,
                           Liveness& liveness) {
  ProgramLiveness& program = liveness.programs[index];
  program.live = true;
  std::vector<uint32_t> reached = roots;
  std::set<uint32_t> seen(roots.begin(), roots.end());
  std::map<uint32_t, std::vector<uint32_t>> by_function;
  for (size_t next = 0; next < reached.size(); ++next) {
    const Context& context = engine_.context(reached[next]);
    by_function[context.function].push_back(reached[next]);
    for (const uint32_t callee : context.callees) {
      if (seen.insert(callee).second) reached.push_back(callee);
    }
    for (const TailUse& use : context.tail_uses) AddTails(use, program);
    if (seen_[reached[next]]) continue;
    seen_[reached[next]] = true;
    contexts_[context.function].push_back(reached[next]);
  }
  maps_.assign(object_.maps.size(), false);
  for (const auto& [function, contexts] : by_function) {
    program.functions.insert(program.functions.end(), function);
    AddCode(function, contexts, program, liveness);
  }
  for (uint32_t map = 0; map < maps_.size(); ++map) {
    if (!maps_[map]) continue;
    program.maps.insert(program.maps.end(), map);
    liveness.maps[map] = true;
  }
}

void Collector::AddCode(uint32_t index, const std::vector<uint32_t>& contexts,
                        ProgramLiveness& program, Liveness& liveness) {
  const object::Function& function = object_.functions[index];
  const Cfg& cfg = engine_.CfgOf(index);
  SlotRanges& ranges = program.code[index];
  std::vector<bool>& live = liveness.functions[index].live_slots;
  for (uint32_t number = 0; number < cfg.blocks.size(); ++number) {
    const bool reached = std::any_of(contexts.begin(), contexts.end(), [&](uint32_t id) {
      return (engine_.context(id).facts[number].flags & kReached) != 0;
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

std::vector<uint32_t> Collector::Constants(const std::vector<Origin>& origins) const {
  std::vector<uint32_t> constants;
  for (const Origin origin : origins) {
    const auto& members = engine_.provenance().Members(origin);
    constants.insert(constants.end(), members.begin(), members.end());
  }
  std::sort(constants.begin(), constants.end());
  constants.erase(std::unique(constants.begin(), constants.end()), constants.end());
  return constants;
}

void Collector::AddFacts(uint32_t function, Liveness& liveness) {
  const Cfg& cfg = engine_.CfgOf(function);
  std::vector<Origin> origins;
  for (uint32_t number = 0; number < cfg.blocks.size(); ++number) {
    const Block& block = cfg.blocks[number];
    uint8_t flags = 0;
    origins.clear();
    for (const uint32_t id : contexts_[function]) {
      const BlockFact& fact = engine_.context(id).facts[number];
      flags |= fact.flags;
      if (fact.origin != 0) origins.push_back(fact.origin);
    }
    if (flags & kReached) liveness.live_insns += block.end - block.begin;
    const bool taken = (flags & kTaken) != 0;
    if (taken == ((flags & kNotTaken) != 0)) continue;
    liveness.decisions.push_back({function, block.last(), taken, Constants(origins)});
  }
}

void Collector::AddTailDecisions(Liveness& liveness) {
  std::map<std::pair<uint32_t, uint32_t>, std::vector<Origin>> calls;
  for (const auto& contexts : contexts_) {
    for (const uint32_t id : contexts) {
      for (const TailUse& use : engine_.context(id).tail_uses) {
        calls[{engine_.context(id).function, use.call}].push_back(use.origin);
      }
    }
  }
  for (const auto& [place, origins] : calls) {
    liveness.tail_calls.push_back({place.first, place.second, true, Constants(origins)});
  }
}

void Collector::Finish(Liveness& liveness) {
  for (uint32_t i = 0; i < object_.functions.size(); ++i) {
    const std::vector<bool>& slots = liveness.functions[i].live_slots;
    liveness.total_insns += static_cast<uint32_t>(slots.size());
    if (contexts_[i].empty()) continue;
    liveness.functions[i].live = true;
    AddFacts(i, liveness);
  }
  AddTailDecisions(liveness);
}

}  // namespace bonsai::reachability
