// SPDX-License-Identifier: Apache-2.0
// Conditional jumps.
#include "agent/reachability/engine.h"

namespace bonsai::reachability {
namespace {

bool ComparesWithZero(const Insn& insn, const Value& right) {
  return ClassOf(insn) == BPF_JMP && right.IsConst() && right.payload == 0 &&
         (OpOf(insn) == BPF_JEQ || OpOf(insn) == BPF_JNE);
}

}  // namespace

void Engine::RecordBranch(uint8_t directions, Origin origin) {
  BlockFact& fact = here_->facts[block_];
  fact.flags |= directions;
  if (fact.origin != origin) fact.origin = tables_.provenance.Union(fact.origin, origin);
}

uint32_t Engine::Branch(const Block& block) {
  const Insn& insn = function_->insns[block.last()];
  const Value& left = state_.registers[insn.dst];
  const Value right = UsesRegister(insn) ? state_.registers[insn.src]
                                         : Value::Const(static_cast<uint64_t>(int64_t{insn.imm}));
  Outcome outcome = Outcome::kEither;
  if (left.IsNumber() && right.IsNumber()) {
    if (left.is_const && right.is_const) {
      outcome = CompareConstants(OpOf(insn), ClassOf(insn) == BPF_JMP, left.payload, right.payload)
                    ? Outcome::kAlways
                    : Outcome::kNever;
    } else {
      outcome = tables_.numbers.Compare(insn.opcode, left.scalar(), right.scalar()).outcome;
    }
  } else if ((left.kind == Kind::kData || left.kind == Kind::kMap) &&
             ComparesWithZero(insn, right)) {
    // SOUND: maps and their values have addresses, and no address is 0.
    outcome = OpOf(insn) == BPF_JNE ? Outcome::kAlways : Outcome::kNever;
  }
  if (outcome == Outcome::kEither) return BothWays(block, insn, right);
  const bool taken = outcome == Outcome::kAlways;
  RecordBranch(taken ? kTaken : kNotTaken, tables_.provenance.Union(left.origin, right.origin));
  return taken ? block.target : block.next;
}

uint32_t Engine::BothWays(const Block& block, const Insn& insn, const Value& right) {
  const Value left = state_.registers[insn.dst];
  const Origin origin = tables_.provenance.Union(left.origin, right.origin);
  if (!left.IsNumber() || !right.IsNumber()) {
    RecordBranch(kTaken | kNotTaken, origin);
    if (block.target != kNoBlock) Fork(block.target);
    return block.next;
  }
  const Comparison comparison =
      tables_.numbers.Compare(insn.opcode, left.scalar(), right.scalar());
  const auto refine = [&](bool taken) {
    Value a = left, b = right;
    a.Set(comparison.left[taken]);
    b.Set(comparison.right[taken]);
    if (!a.SameAs(left)) a.origin = origin;
    if (!b.SameAs(right)) b.origin = origin;
    if (UsesRegister(insn)) state_.registers[insn.src] = b;
    state_.registers[insn.dst] = a;
  };
  RecordBranch((comparison.possible[true] ? kTaken : 0) | (comparison.possible[false] ? kNotTaken : 0),
               origin);
  if (comparison.possible[true] && block.target != kNoBlock) {
    refine(true);
    Fork(block.target);
  }
  if (!comparison.possible[false]) return kNoBlock;
  refine(false);
  return block.next;
}

}  // namespace bonsai::reachability
