// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/insn.h"

#include "agent/reachability/helpers.h"

namespace bonsai::reachability {
namespace {

bool KnownAlu(const Insn& insn) {
  const bool wide = ClassOf(insn) == BPF_ALU64;
  switch (OpOf(insn)) {
    case BPF_ADD: case BPF_SUB: case BPF_MUL: case BPF_OR: case BPF_AND: case BPF_LSH:
    case BPF_RSH: case BPF_XOR: case BPF_ARSH: case BPF_NEG:
      return insn.offset == 0;
    case BPF_DIV: case BPF_MOD:
      return insn.offset == 0 || insn.offset == 1;
    case BPF_MOV:
      // Sign extension, or a cast between address spaces (1), or to a per-CPU address (-1).
      return insn.offset == 0 ||
             (UsesRegister(insn) && (insn.offset == 8 || insn.offset == 16 ||
                                     (wide && (insn.offset == 32 || insn.offset == 1 ||
                                               insn.offset == -1))));
    case BPF_END:
      return (insn.imm == 16 || insn.imm == 32 || insn.imm == 64) &&
             (!wide || !UsesRegister(insn));
    default:
      return false;
  }
}

bool KnownAtomic(const Insn& insn) {
  const uint32_t size = SizeOf(insn);
  if (insn.imm == kLoadAcquire || insn.imm == kStoreRelease) return true;
  if (size < 4) return false;
  switch (insn.imm) {
    case BPF_ADD: case BPF_AND: case BPF_OR: case BPF_XOR:
    case BPF_ADD | BPF_FETCH: case BPF_AND | BPF_FETCH: case BPF_OR | BPF_FETCH:
    case BPF_XOR | BPF_FETCH: case BPF_XCHG: case BPF_CMPXCHG:
      return true;
    default:
      return false;
  }
}

bool KnownMemory(const Insn& insn) {
  switch (ClassOf(insn)) {
    case BPF_LD:
      if (ModeOf(insn) == BPF_IMM) return IsLoadImm64(insn);
      return (ModeOf(insn) == BPF_ABS || ModeOf(insn) == BPF_IND) && SizeOf(insn) != 8;
    case BPF_LDX:
      return ModeOf(insn) == BPF_MEM || (ModeOf(insn) == kModeMemSx && SizeOf(insn) != 8);
    case BPF_ST:
      return ModeOf(insn) == BPF_MEM;
    default:
      return ModeOf(insn) == BPF_MEM || (ModeOf(insn) == BPF_ATOMIC && KnownAtomic(insn));
  }
}

Flow JumpFlow(const Insn& insn) {
  const bool wide = ClassOf(insn) == BPF_JMP;
  switch (OpOf(insn)) {
    case BPF_JA:
      return UsesRegister(insn) ? Flow::kUnknown : Flow::kJump;
    case BPF_CALL:
      if (!wide || UsesRegister(insn)) return Flow::kUnknown;
      if (insn.src == 0 && CallbackArgument(insn.imm) != 0) return Flow::kCallback;
      return insn.src == BPF_PSEUDO_CALL ? Flow::kCall : Flow::kNext;
    case BPF_EXIT:
      return wide && !UsesRegister(insn) ? Flow::kExit : Flow::kUnknown;
    case kOpJcond:
      return wide && !UsesRegister(insn) && insn.src == 0 ? Flow::kMayGoto : Flow::kUnknown;
    case 0xf0:
      return Flow::kUnknown;
    default:
      return Flow::kBranch;
  }
}

}  // namespace

Flow FlowOfOther(const Insn& insn) {
  const uint8_t kind = ClassOf(insn);
  if (kind == BPF_JMP || kind == BPF_JMP32) return JumpFlow(insn);
  if (kind == BPF_ALU || kind == BPF_ALU64) return KnownAlu(insn) ? Flow::kNext : Flow::kUnknown;
  return KnownMemory(insn) ? Flow::kNext : Flow::kUnknown;
}

int64_t TargetOf(const Insn& insn, uint32_t slot) {
  const bool gotol = insn.opcode == (BPF_JMP32 | BPF_JA);
  return int64_t{slot} + 1 + (gotol ? insn.imm : insn.offset);
}

}  // namespace bonsai::reachability
