// SPDX-License-Identifier: Apache-2.0
// Conditional jumps.
#include <vector>

#include "agent/reachability/engine.h"

namespace bonsai::reachability {

// Decided when it is so for every pair of members.
Outcome Engine::DecideValues(const Insn& insn, const Value& left, const Value& right) const {
  const bool wide = ClassOf(insn) == BPF_JMP;
  if (left.set == 0 && right.set == 0) return Decide(OpOf(insn), wide, left.number, right.number);
  ValueSet lefts, rights;
  const bool few_left = tables_.Members(left, lefts), few_right = tables_.Members(right, rights);
  bool never = true, always = true;
  for (size_t i = 0; i < (few_left ? lefts.count : 1u); ++i) {
    for (size_t j = 0; j < (few_right ? rights.count : 1u); ++j) {
      const Outcome outcome =
          Decide(OpOf(insn), wide, few_left ? Number::Const(lefts.members[i]) : left.number,
                 few_right ? Number::Const(rights.members[j]) : right.number);
      never = never && outcome == Outcome::kNever;
      always = always && outcome == Outcome::kAlways;
    }
  }
  return never ? Outcome::kNever : always ? Outcome::kAlways : Outcome::kEither;
}

// Leaves of the few numbers that `value` may be those that can go this way. False: none can.
bool Engine::RefineValue(const Insn& insn, bool taken, const Value& other, bool is_left,
                         Value& value) {
  if (value.set == 0) return true;
  const Outcome contrary = taken ? Outcome::kNever : Outcome::kAlways;
  ValueSet kept;
  for (const uint64_t member : tables_.sets.Of(value.set)) {
    const Value one = Value::Of(Number::Const(member));
    if (DecideValues(insn, is_left ? one : other, is_left ? other : one) != contrary) {
      kept.Add(member);
    }
  }
  if (kept.count == 0) return false;
  value = tables_.OneOf(kept, value.origin);
  return true;
}

void Engine::Branch(const Block& block) {
  const Insn& insn = object_.functions[here_->function].insns[block.last];
  const bool wide = ClassOf(insn) == BPF_JMP;
  const Value& left = state_.registers[insn.dst];
  const Value right = UsesRegister(insn)
                          ? state_.registers[insn.src]
                          : Value::Of(Number::Const(static_cast<uint64_t>(int64_t{insn.imm})));
  Outcome outcome = Outcome::kEither;
  if (left.IsNumber() && right.IsNumber()) {
    outcome = DecideValues(insn, left, right);
  } else if ((left.kind == Kind::kData || left.kind == Kind::kMap) && wide && right.IsNumber() &&
             right.number == Number::Const(0) && (OpOf(insn) == BPF_JEQ || OpOf(insn) == BPF_JNE)) {
    // SOUND: maps and their values have addresses, and no address is 0.
    outcome = OpOf(insn) == BPF_JNE ? Outcome::kAlways : Outcome::kNever;
  }
  if (outcome == Outcome::kEither) {
    BothWays(block, insn, right);
    return;
  }
  const bool taken = outcome == Outcome::kAlways;
  RecordBranch(taken ? kTaken : kNotTaken, tables_.provenance.Union(left.origin, right.origin));
  const uint32_t to = taken ? block.target : block.next;
  if (to != kNoBlock) Propagate(to);
}

void Engine::BothWays(const Block& block, const Insn& insn, const Value& right) {
  const Value left = state_.registers[insn.dst];
  const bool numbers = left.IsNumber() && right.IsNumber();
  const Origin origin = tables_.provenance.Union(left.origin, right.origin);
  const RegisterSet operands = static_cast<RegisterSet>(
      1u << insn.dst | (UsesRegister(insn) ? 1u << insn.src : 0u));
  for (const bool taken : {true, false}) {
    const uint32_t to = taken ? block.target : block.next;
    // What no one reads again needs no refining.
    const bool read_again =
        to != kNoBlock &&
        (cfgs_[here_->function]->blocks[to].live_registers & operands) != 0;
    const bool refine = numbers && read_again;
    Value a = left, b = right;
    if (refine) {
      // SOUND: these say no only where no two members of the operands go this way.
      if (!RefineValue(insn, taken, right, true, a) || !RefineValue(insn, taken, left, false, b) ||
          !Refine(OpOf(insn), ClassOf(insn) == BPF_JMP, taken, a.number, b.number)) {
        continue;
      }
    }
    RecordBranch(taken ? kTaken : kNotTaken, origin);
    if (to == kNoBlock) continue;
    if (refine) {
      if (UsesRegister(insn)) state_.registers[insn.src] = b;
      state_.registers[insn.dst] = a;
    }
    Propagate(to);
  }
}

}  // namespace bonsai::reachability
