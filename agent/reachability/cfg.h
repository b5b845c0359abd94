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

struct Told;

// Registers read before they are written, and written, by instructions in order; the same of stack
// slots, as far as r10 is the base: what is reached through other pointers is not in it.
struct Access {
  RegisterSet reads = 0, writes = 0;
  SlotSet slot_reads = 0, slot_writes = 0;

  void Add(const Insn& insn);  // after all others
  // One whose opcode tells.
  void AddTold(const Insn& insn, const Told& told, uint32_t registers);
  const Insn* AddStraight(const Insn* insn, const Insn* end);
};
Access AccessOfOther(const Insn& insn);

// The slot that an offset from r10 is in.
inline SlotSet SlotsAt(int64_t offset) {
  return offset < 0 && offset >= -kStackBytes ? SlotSet{1} << ((offset + kStackBytes) / 8) : 0;
}

// What an opcode tells of it. Looked up, not branched on: the next instruction is anyone's guess.
struct Told {
  // To be masked with kRegisterBits of the registers: dst in the lower half, src in the upper.
  uint32_t reads = 0, writes = 0;
  uint32_t what = 0;
};
enum : uint32_t {
  kOther = 1,                // not told: see AccessOfOther()
  kLoads = 2, kStores = 4,
  kStraight = 8,             // the flow goes on behind it if its registers are valid
  kStraightWithoutOffset = 16,  // ... and it has no offset
};
constexpr Told TellOf(uint8_t opcode) {
  constexpr uint32_t kDst = 0xffff, kSrc = 0xffff0000;
  const uint32_t source = (opcode & BPF_X) != 0 ? kSrc : 0;
  if (opcode == (BPF_LD | BPF_IMM | BPF_DW)) return {.writes = kDst};
  switch (ShapeOf(opcode)) {
    case Shape::kAlu:
      return {.reads = ((opcode & 0xf0) == BPF_MOV ? 0 : kDst) | source, .writes = kDst,
              .what = kStraightWithoutOffset};
    case Shape::kMemory:
      if ((opcode & 0x07) == BPF_LDX) {
        return {.reads = kSrc, .writes = kDst, .what = kLoads | kStraight};
      }
      return {.reads = kDst | ((opcode & 0x07) == BPF_STX ? kSrc : 0), .what = kStores | kStraight};
    case Shape::kBranch:
      return {.reads = kDst | source};
    default:
      return {.what = kOther};
  }
}
inline constexpr std::array<Told, 256> kTold = [] {
  std::array<Told, 256> told{};
  for (int opcode = 0; opcode < 256; ++opcode) {
    told[static_cast<size_t>(opcode)] = TellOf(static_cast<uint8_t>(opcode));
  }
  return told;
}();

// By src * 16 + dst: their bits, src's in the upper half; 0 when there is no such register.
inline constexpr std::array<uint32_t, 256> kRegisterBits = [] {
  std::array<uint32_t, 256> bits{};
  for (uint32_t src = 0; src < kRegisters; ++src) {
    for (uint32_t dst = 0; dst < kRegisters; ++dst) {
      bits[src * 16 + dst] = uint32_t{1} << (src + 16) | uint32_t{1} << dst;
    }
  }
  return bits;
}();
inline uint32_t RegisterBits(const Insn& insn) {
  return kRegisterBits[static_cast<size_t>(insn.src) << 4 | insn.dst];
}

inline bool GoesStraight(const Insn& insn, const Told& told, uint32_t registers) {
  const bool straight = (told.what & kStraight) != 0 ||
                        ((told.what & kStraightWithoutOffset) != 0 && insn.offset == 0);
  return straight && registers != 0;
}

// SOUND: at least what the instruction reads, at most what it writes for sure.
inline void Access::AddTold(const Insn& insn, const Told& told, uint32_t registers) {
  const uint32_t read = registers & told.reads;
  reads |= static_cast<RegisterSet>((read | read >> 16) & ~uint32_t{writes});
  writes |= static_cast<RegisterSet>(registers & told.writes);
  if ((told.what & (kLoads | kStores)) == 0) return;
  if ((told.what & kLoads) != 0) {
    if (insn.src == BPF_REG_10) slot_reads |= SlotsAt(insn.offset) & ~slot_writes;
  } else if (insn.dst == BPF_REG_10 && SizeOf(insn) == 8 && insn.offset % 8 == 0) {
    slot_writes |= SlotsAt(insn.offset);
  }
}

// The first of [insn, end) that does not go straight; takes in those before it.
inline const Insn* Access::AddStraight(const Insn* insn, const Insn* end) {
  Access all = *this;  // in registers
  for (; insn != end; ++insn) {
    const Told& told = kTold[insn->opcode];
    const uint32_t registers = RegisterBits(*insn);
    if (!GoesStraight(*insn, told, registers)) break;
    all.AddTold(*insn, told, registers);
  }
  *this = all;
  return insn;
}

inline void Access::Add(const Insn& insn) {
  const Told& told = kTold[insn.opcode];
  if ((told.what & kOther) == 0) {
    AddTold(insn, told, RegisterBits(insn));
    return;
  }
  const Access one = AccessOfOther(insn);
  reads |= static_cast<RegisterSet>(one.reads & ~writes);
  writes |= one.writes;
}

// Fills in Block::live_registers and read_slots. `accesses` by block; `order`: blocks, later ones of a
// path later; `back`: those that lead to one before them or to themselves.
void FindLiveRegisters(const std::vector<Access>& accesses, const std::vector<uint32_t>& order,
                       const std::vector<uint32_t>& back, std::vector<Block>& blocks);

// Builds one after another, so that what it works with is allocated once.
class CfgBuilder {
 public:
  Cfg Build(const object::Function& function);

 private:
  uint32_t size() const { return static_cast<uint32_t>(function_->insns.size()); }
  bool IsStart(uint32_t slot) const { return starts_[slot / 64] >> (slot % 64) & 1; }
  uint32_t NextStart(uint32_t slot) const;  // behind it, or size()
  void SetStart(uint32_t slot) { starts_[slot / 64] |= uint64_t{1} << (slot % 64); }
  void Clear();
  void Scan();
  uint32_t ScanBlock(uint32_t begin);
  Flow ScanOther(const Insn& insn, uint32_t begin, uint32_t& slot);
  void Split();
  void MarkTarget(int64_t target, uint32_t slot);
  void ScanOpaque();
  void AddBlock(const Block& block);
  uint32_t BlockAt(int64_t slot) const;
  void Connect();
  void Order();
  void MarkHeads();
  void MarkHead(uint32_t block, bool entry, bool met);

  const object::Function* function_ = nullptr;
  std::vector<uint64_t> starts_;     // slots where blocks begin, a set of bits
  std::vector<uint32_t> block_at_;   // by slot: right where a block begins
  size_t next_ref_ = 0;              // the first one not before the block that is scanned
  std::vector<Block> blocks_, unsplit_blocks_;
  std::vector<Access> accesses_, unsplit_accesses_;  // by block
  std::vector<uint32_t> order_;      // blocks, those before others first as far as that can be
  std::vector<uint8_t> edges_;       // by block: to it; 2: or more
  std::vector<uint32_t> heads_;
  std::vector<uint32_t> back_;       // blocks that lead to one before them in order_
  bool opaque_ = false;
  bool backward_ = false;            // some jump does not go forward
  bool split_ = false;               // ... and that to the middle of a block
};
Cfg BuildCfg(const object::Function& function);

}  // namespace bonsai::reachability
