// SPDX-License-Identifier: Apache-2.0
// What an instruction does, as far as control flow goes. Covers instruction sets v1 to v4.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <cstdint>

#include "agent/object/object_spec.h"

namespace bonsai::reachability {

using object::Insn;

// Newer than the oldest linux/bpf.h we build with.
inline constexpr uint8_t kModeMemSx = 0x80;
inline constexpr uint8_t kOpJcond = 0xe0;
inline constexpr int32_t kLoadAcquire = 0x100;
inline constexpr int32_t kStoreRelease = 0x110;
inline constexpr uint8_t kPseudoKfuncCall = 2;

inline constexpr int kRegisters = 11;  // r0..r10
using RegisterSet = uint16_t;          // one bit each
inline constexpr RegisterSet kAllRegisters = (1u << kRegisters) - 1;

inline uint8_t ClassOf(const Insn& insn) { return insn.opcode & 0x07; }
inline uint8_t OpOf(const Insn& insn) { return insn.opcode & 0xf0; }
inline uint8_t ModeOf(const Insn& insn) { return insn.opcode & 0xe0; }
inline bool UsesRegister(const Insn& insn) { return (insn.opcode & BPF_X) != 0; }

// Bytes that a load or store moves.
inline uint32_t SizeOf(const Insn& insn) {
  switch (insn.opcode & 0x18) {
    case BPF_B: return 1;
    case BPF_H: return 2;
    case BPF_W: return 4;
    default: return 8;
  }
}

inline bool IsLoadImm64(const Insn& insn) { return insn.opcode == (BPF_LD | BPF_IMM | BPF_DW); }

enum class Flow : uint8_t {
  kNext,      // the next instruction
  kJump,      // always to the target
  kBranch,    // to the target or on, by a comparison
  kMayGoto,   // to the target or on, as the kernel likes
  kCall,      // bpf-to-bpf call, then on
  kCallback,  // helper that calls a function of the program, then on
  kExit,
  kUnknown,   // not an instruction this engine knows
};

// Most instructions are of a few shapes that the opcode alone tells.
enum class Shape : uint8_t { kOther, kAlu, kMemory, kBranch };

constexpr Shape ShapeOf(uint8_t opcode) {
  const uint8_t kind = opcode & 0x07, op = opcode & 0xf0, mode = opcode & 0xe0;
  switch (kind) {
    case BPF_ALU: case BPF_ALU64:
      return op < BPF_END ? Shape::kAlu : Shape::kOther;
    case BPF_LDX: case BPF_ST: case BPF_STX:
      return mode == BPF_MEM ? Shape::kMemory : Shape::kOther;
    case BPF_JMP: case BPF_JMP32:
      return op == BPF_JA || op == BPF_CALL || op == BPF_EXIT || op >= kOpJcond ? Shape::kOther
                                                                                : Shape::kBranch;
    default:
      return Shape::kOther;
  }
}

inline constexpr std::array<Shape, 256> kShapes = [] {
  std::array<Shape, 256> shapes{};
  for (int opcode = 0; opcode < 256; ++opcode) {
    shapes[static_cast<size_t>(opcode)] = ShapeOf(static_cast<uint8_t>(opcode));
  }
  return shapes;
}();

Flow FlowOfOther(const Insn& insn);

// Flow of a valid instruction; kUnknown for what no instruction set up to v4 has.
inline Flow FlowOf(const Insn& insn) {
  if (insn.dst >= kRegisters || insn.src >= kRegisters) return Flow::kUnknown;
  const Shape shape = kShapes[insn.opcode];
  if (shape == Shape::kMemory || (shape == Shape::kAlu && insn.offset == 0)) return Flow::kNext;
  return shape == Shape::kBranch ? Flow::kBranch : FlowOfOther(insn);
}

inline bool HasTarget(Flow flow) {
  return flow == Flow::kJump || flow == Flow::kBranch || flow == Flow::kMayGoto;
}

// Slot that a jump at `slot` goes to; may lie outside of the function.
int64_t TargetOf(const Insn& insn, uint32_t slot);

}  // namespace bonsai::reachability
