// SPDX-License-Identifier: Apache-2.0
// What an instruction does, as far as control flow goes. Covers instruction sets v1 to v4.
#pragma once

#include <linux/bpf.h>

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
  kExit,
  kUnknown,   // not an instruction this engine knows
};

// Flow of a valid instruction; kUnknown for what no instruction set up to v4 has.
Flow FlowOf(const Insn& insn);

// Slot that a jump at `slot` goes to; may lie outside of the function.
int64_t TargetOf(const Insn& insn, uint32_t slot);

}  // namespace bonsai::reachability
