// SPDX-License-Identifier: Apache-2.0
// Control-flow graph of one function. Blocks are numbered as they stand in the code; heads in reverse
// postorder, so that working on the lowest pending head first visits it after those before it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "agent/object/object_spec.h"
#include "agent/reachability/insn.h"
#include "agent/reachability/stack.h"

namespace bonsai::reachability {

inline constexpr uint32_t kNoBlock = UINT32_MAX;
inline constexpr uint32_t kNoHead = UINT32_MAX;

struct Block {
  uint32_t begin = 0, end = 0;     // slots [begin, end)
  uint32_t next = kNoBlock;        // block after this one, if the flow can get there
  uint32_t target = kNoBlock;      // block jumped to
  uint32_t first_ref = 0;          // index of the first Function::refs at or after begin
  // Number among those blocks where paths meet or a function is called, and whose states are kept.
  // Every other block is run right after the one before it.
  uint32_t head = kNoHead;
  SlotSet read_slots = 0;          // stack slots that loads relative to r10 may still read
  RegisterSet live_registers = 0;  // that may be read from here on before they are written
  Flow flow = Flow::kNext;         // of the last instruction
  bool loop_head = false;          // some edge to it does not go forward
  bool in_loop = false;            // some edge goes back over it

  // Slot of the last instruction; of one that takes two slots, the second.
  uint32_t last() const { return end - 1; }
};

struct Cfg {
  std::vector<Block> blocks;       // [0] is the entry
  std::vector<uint32_t> heads;     // numbers of blocks; [0] is the entry
  // Holds what this engine does not know (an unknown opcode, a jump out of the function): once that
  // runs anything may follow, so each instruction is a block of its own.
  bool opaque = false;
};

Cfg BuildCfg(const object::Function& function);

// Registers read before they are written, and written, by instructions in order; the same of stack
// slots, as far as r10 is the base: what is reached through other pointers is not in it.
struct Access {
  RegisterSet reads = 0, writes = 0;
  SlotSet slot_reads = 0, slot_writes = 0;

  void Add(const Insn& insn);  // after all others
};
Access AccessOfOther(const Insn& insn);

// The slot that an offset from r10 is in.
inline SlotSet SlotsAt(int64_t offset) {
  return offset < 0 && offset >= -kStackBytes ? SlotSet{1} << ((offset + kStackBytes) / 8) : 0;
}

// What an opcode tells of it. Looked up, not branched on: the next instruction is anyone's guess.
enum : uint8_t {
  kReadsDst = 1, kReadsSrc = 2, kWritesDst = 4, kLoads = 8, kStores = 16, kNotTold = 32
};
constexpr uint8_t AccessOfOpcode(uint8_t opcode) {
  const uint8_t source = (opcode & BPF_X) != 0 ? kReadsSrc : 0;
  if (opcode == (BPF_LD | BPF_IMM | BPF_DW)) return kWritesDst;
  switch (ShapeOf(opcode)) {
    case Shape::kAlu:
      return static_cast<uint8_t>(((opcode & 0xf0) == BPF_MOV ? 0 : kReadsDst) | source | kWritesDst);
    case Shape::kMemory:
      if ((opcode & 0x07) == BPF_LDX) return kReadsSrc | kWritesDst | kLoads;
      return static_cast<uint8_t>(kReadsDst | ((opcode & 0x07) == BPF_STX ? kReadsSrc : 0) |
                                  kStores);
    case Shape::kBranch:
      return static_cast<uint8_t>(kReadsDst | source);
    default:
      return kNotTold;
  }
}
inline constexpr std::array<uint8_t, 256> kAccesses = [] {
  std::array<uint8_t, 256> accesses{};
  for (int opcode = 0; opcode < 256; ++opcode) {
    accesses[static_cast<size_t>(opcode)] = AccessOfOpcode(static_cast<uint8_t>(opcode));
  }
  return accesses;
}();

// SOUND: at least what the instruction reads, at most what it writes for sure.
inline void Access::Add(const Insn& insn) {
  const uint32_t what = kAccesses[insn.opcode];
  if (what & kNotTold) {
    const Access one = AccessOfOther(insn);
    reads |= static_cast<RegisterSet>(one.reads & ~writes);
    writes |= one.writes;
    return;
  }
  const uint32_t read = (what & 1) << insn.dst | (what >> 1 & 1) << insn.src;
  reads |= static_cast<RegisterSet>(read & ~uint32_t{writes});
  writes |= static_cast<RegisterSet>((what >> 2 & 1) << insn.dst);
  if ((what & kLoads) && insn.src == BPF_REG_10) {
    slot_reads |= SlotsAt(insn.offset) & ~slot_writes;
  } else if ((what & kStores) && insn.dst == BPF_REG_10 && SizeOf(insn) == 8 &&
             insn.offset % 8 == 0) {
    slot_writes |= SlotsAt(insn.offset);
  }
}

// Fills in Block::live_registers and read_slots. `accesses` by block; `order`: blocks, later ones of a path later.
void FindLiveRegisters(const std::vector<Access>& accesses, const std::vector<uint32_t>& order,
                       Cfg& cfg);

}  // namespace bonsai::reachability
