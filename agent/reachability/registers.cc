// SPDX-License-Identifier: Apache-2.0
// Which registers are read before they are written, from the start of each block on. What is not
// need not be remembered there, which is most of the work saved at merges.
#include "agent/reachability/cfg.h"

namespace bonsai::reachability {
namespace {

constexpr RegisterSet kArguments = 0x3e;  // r1..r5
// Loops that overlap a thousandfold would take as many rounds; what compilers make takes two or three.
constexpr int kMaxRounds = 32;
constexpr RegisterSet kCallWrites = 0x3f;  // r0..r5

RegisterSet Bit(int index) { return static_cast<RegisterSet>(1u << index); }

Access OfAtomic(const Insn& insn) {
  if (insn.imm == kLoadAcquire) return {Bit(insn.src), Bit(insn.dst)};
  Access access{static_cast<RegisterSet>(Bit(insn.dst) | Bit(insn.src)), 0};
  if (insn.imm == BPF_CMPXCHG) {
    access.reads |= Bit(BPF_REG_0);
    access.writes = Bit(BPF_REG_0);
  } else if (insn.imm != kStoreRelease && (insn.imm & BPF_FETCH)) {
    access.writes = Bit(insn.src);
  }
  return access;
}

Access OfJump(const Insn& insn) {
  switch (FlowOf(insn)) {
    case Flow::kExit:
      return {Bit(BPF_REG_0), 0};
    case Flow::kBranch: {
      const RegisterSet right = UsesRegister(insn) ? Bit(insn.src) : RegisterSet{0};
      return {static_cast<RegisterSet>(Bit(insn.dst) | right), 0};
    }
    case Flow::kCall: case Flow::kCallback: case Flow::kNext:
      return {kArguments, kCallWrites};
    default:
      return {};
  }
}

}  // namespace

Access AccessOfOther(const Insn& insn) {
  switch (ClassOf(insn)) {
    case BPF_ALU: case BPF_ALU64: {
      Access access{Bit(insn.dst), Bit(insn.dst)};  // an unknown one: it may read both
      if (UsesRegister(insn)) access.reads |= Bit(insn.src);
      return access;
    }
    case BPF_LD:  // of the packet: the opcode tells of a 64-bit immediate
      return {static_cast<RegisterSet>(Bit(BPF_REG_6) | Bit(insn.src)), kCallWrites};
    case BPF_LDX:
      return {Bit(insn.src), Bit(insn.dst)};
    case BPF_ST:
      return {Bit(insn.dst), 0};
    case BPF_STX:
      if (ModeOf(insn) == BPF_ATOMIC) return OfAtomic(insn);
      return {static_cast<RegisterSet>(Bit(insn.dst) | Bit(insn.src)), 0};
    default:
      return OfJump(insn);
  }
}

void FindLiveRegisters(const std::vector<Access>& accesses, const std::vector<uint32_t>& order,
                       const std::vector<uint32_t>& back, std::vector<Block>& blocks) {
  // What block `i` needs, as far as is known of those it leads to. True: that is news.
  const auto update = [&](uint32_t i) {
    Block& block = blocks[i];
    const Access& access = accesses[i];
    RegisterSet after = 0;
    SlotSet slots_after = 0;
    for (const uint32_t to : {block.next, block.target}) {
      if (to == kNoBlock) continue;
      after |= blocks[to].live_registers;
      slots_after |= blocks[to].read_slots;
    }
    const auto live = static_cast<RegisterSet>(access.reads | (after & ~access.writes) |
                                               Bit(BPF_REG_10));
    const SlotSet slots = access.slot_reads | (slots_after & ~access.slot_writes);
    const bool news = live != block.live_registers || slots != block.read_slots;
    block.live_registers = live;
    block.read_slots = slots;
    return news;
  };
  // Backwards; once more for each loop that a register is carried around, one inside the other.
  int rounds = 0;
  for (bool again = true; again && rounds < kMaxRounds; ++rounds) {
    for (size_t n = order.size(); n-- > 0;) update(order[n]);
    again = false;
    for (const uint32_t i : back) again = update(i) || again;
    if (!again) return;
  }
  // SOUND: what is remembered though nobody reads it costs time only.
  for (Block& block : blocks) {
    block.live_registers = kAllRegisters;
    block.read_slots = ~SlotSet{0};
  }
}

}  // namespace bonsai::reachability
