// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/collect.h"

#include <algorithm>
#include <set>

#include "agent/reachability/helpers.h"

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;

constexpr std::string_view kExceptionTag = "exception_callback:";

void CollectRefs(const object::Function& function, const Block& block, ProgramLiveness& program,
                 Liveness& liveness) {
  for (size_t i = block.first_ref; i < function.refs.size(); ++i) {
    const Ref& ref = function.refs[i];
    if (ref.slot >= block.end) return;
    if (ref.kind == RefKind::kMap || ref.kind == RefKind::kArena) program.maps.insert(ref.index);
    if (ref.kind == RefKind::kData) liveness.data_sections[ref.index] = true;
  }
}

// Slots that a tail call may jump to: those the object fills.
void CollectTails(const ObjectSpec& object, const TailUse& use, ProgramLiveness& program) {
  const auto add = [&](const std::string& map, uint32_t slot) {
    for (const object::TailSlot& known : program.tail_calls) {
      if (known.map == map && known.slot == slot) return;
    }
    program.tail_calls.push_back({map, slot});
  };
  // A slot that nothing declares may still be filled from outside.
  if (use.map && use.slots.count > 0) {
    for (const uint64_t slot : use.slots) {
      add(object.maps[*use.map].name, static_cast<uint32_t>(slot));
    }
    return;
  }
  program.tail_calls_unknown_slot = true;
  for (const object::Program& tail : object.programs) {
    if (!tail.tail) continue;
    const object::Map* map = object.FindMap(tail.tail->map);
    if (map == nullptr) continue;
    if (MayJumpTo(use, static_cast<uint32_t>(map - object.maps.data()), tail.tail->slot)) {
      add(tail.tail->map, tail.tail->slot);
    }
  }
  for (uint32_t i = 0; i < object.maps.size(); ++i) {
    for (const auto& [slot, name] : object.maps[i].initial_programs) {
      if (MayJumpTo(use, i, slot)) add(object.maps[i].name, slot);
    }
  }
}

std::vector<std::string> ConstantNames(const Engine& engine, const ObjectSpec& object,
                                       const std::vector<Origin>& origins) {
  std::set<uint32_t> constants;
  for (const Origin origin : origins) {
    const auto& members = engine.provenance().Members(origin);
    constants.insert(members.begin(), members.end());
  }
  std::vector<std::string> names;
  for (const uint32_t constant : constants) names.push_back(object.constants[constant].name);
  return names;
}

// Sorts ranges of blocks, which come in any order and may repeat, and joins those that touch.
void Normalise(SlotRanges& ranges) {
  std::sort(ranges.begin(), ranges.end());
  size_t last = 0;
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first <= ranges[last].second + 1) {
      ranges[last].second = std::max(ranges[last].second, ranges[i].second);
    } else {
      ranges[++last] = ranges[i];
    }
  }
  if (!ranges.empty()) ranges.resize(last + 1);
}

}  // namespace

bool MayJumpTo(const TailUse& use, uint32_t map, uint32_t slot) {
  return (!use.map || *use.map == map) && use.slot.Contains(slot) &&
         (use.slots.count == 0 || use.slots.Contains(slot));
}

std::vector<uint32_t> ReachFrom(Engine& engine, const ObjectSpec& object, uint32_t program) {
  std::vector<uint32_t> contexts{engine.EntryContext(program)};
  // Where the program's exceptions end: appended by libbpf, called by the kernel.
  for (const std::string& tag : object.functions[object.programs[program].function].tags) {
    if (!tag.starts_with(kExceptionTag)) continue;
    for (uint32_t i = 0; i < object.functions.size(); ++i) {
      if (object.functions[i].name != tag.substr(kExceptionTag.size())) continue;
      Arguments anything;
      anything.fill(Value::OfKind(Kind::kForeign));
      contexts.push_back(engine.ContextFor(i, anything));
    }
  }
  engine.Run();
  std::vector<bool> seen(engine.context_count(), false);
  for (uint32_t context : contexts) seen[context] = true;
  for (size_t next = 0; next < contexts.size(); ++next) {
    for (uint32_t callee : engine.context(contexts[next]).callees) {
      if (seen[callee]) continue;
      seen[callee] = true;
      contexts.push_back(callee);
    }
  }
  return contexts;
}

void CollectProgram(Engine& engine, const ObjectSpec& object, uint32_t index,
                    const std::vector<uint32_t>& contexts, Liveness& liveness) {
  ProgramLiveness& program = liveness.programs[index];
  program.live = true;
  for (uint32_t id : contexts) {
    const Context& context = engine.context(id);
    const object::Function& function = object.functions[context.function];
    FunctionLiveness& live = liveness.functions[context.function];
    live.live = true;
    program.functions.insert(context.function);
    SlotRanges& code = program.code[context.function];
    const Cfg& cfg = engine.CfgOf(context.function);
    for (size_t i = 0; i < cfg.blocks.size(); ++i) {
      if (!context.in[i].present()) continue;
      const Block& block = cfg.blocks[i];
      std::fill(live.live_slots.begin() + block.begin, live.live_slots.begin() + block.end, true);
      code.emplace_back(block.begin, block.end - 1);
      CollectRefs(function, block, program, liveness);
    }
    for (const TailUse& use : context.tail_uses) CollectTails(object, use, program);
  }
  for (auto& [function, ranges] : program.code) Normalise(ranges);
  for (uint32_t map : program.maps) liveness.maps[map] = true;
}

std::vector<DecidedBranch> DecidedBranches(Engine& engine, const ObjectSpec& object,
                                           const std::vector<uint32_t>& contexts) {
  struct Fact {
    uint8_t directions = 0;
    Origin origin = 0;
    std::vector<Origin> more;  // of other contexts
  };
  std::vector<std::vector<Fact>> facts(object.functions.size());  // by function and block
  for (uint32_t id : contexts) {
    const Context& context = engine.context(id);
    std::vector<Fact>& blocks = facts[context.function];
    blocks.resize(context.branches.size());
    for (size_t i = 0; i < blocks.size(); ++i) {
      const BranchFact& branch = context.branches[i];
      if (branch.directions == 0) continue;
      if (blocks[i].directions == 0) {
        blocks[i].origin = branch.origin;
      } else {
        blocks[i].more.push_back(branch.origin);
      }
      blocks[i].directions |= branch.directions;
    }
  }
  std::vector<DecidedBranch> decided;
  for (uint32_t function = 0; function < facts.size(); ++function) {
    for (size_t i = 0; i < facts[function].size(); ++i) {
      const Fact& fact = facts[function][i];
      if (fact.directions != kTaken && fact.directions != kNotTaken) continue;
      DecidedBranch branch{.function = function, .slot = engine.CfgOf(function).blocks[i].last,
                           .taken = fact.directions == kTaken};
      std::vector<Origin> origins = fact.more;
      origins.push_back(fact.origin);
      branch.constants = ConstantNames(engine, object, origins);
      Locate(object, branch);
      decided.push_back(std::move(branch));
    }
  }
  std::sort(decided.begin(), decided.end(), [](const DecidedBranch& a, const DecidedBranch& b) {
    return a.function != b.function ? a.function < b.function : a.slot < b.slot;
  });
  return decided;
}

void Locate(const ObjectSpec& object, DecidedBranch& branch) {
  const auto& lines = object.functions[branch.function].lines;
  const auto after = std::upper_bound(
      lines.begin(), lines.end(), branch.slot,
      [](uint32_t slot, const object::SourceLine& line) { return slot < line.slot; });
  if (after == lines.begin()) return;
  const object::SourceLine& line = *(after - 1);
  branch.file = object.String(line.file);
  branch.line = line.line;
  branch.text = object.String(line.text);
}

}  // namespace bonsai::reachability
