// SPDX-License-Identifier: Apache-2.0
// Control-flow graph of one function. Blocks are numbered in reverse postorder, so that working on
// the lowest pending number first visits a block after those before it.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/object/object_spec.h"
#include "agent/reachability/insn.h"

namespace bonsai::reachability {

inline constexpr uint32_t kNoBlock = UINT32_MAX;

struct Block {
  uint32_t begin = 0, end = 0;    // slots [begin, end)
  uint32_t last = 0;              // slot of the last instruction
  Flow flow = Flow::kNext;        // of the last instruction
  uint32_t next = kNoBlock;       // block after this one, if the flow can get there
  uint32_t target = kNoBlock;     // block jumped to
  uint32_t first_ref = 0;         // index of the first Function::refs at or after begin
  RegisterSet live_registers = 0;  // that may be read from here on before they are written
  bool loop_head = false;         // some edge to it does not go forward
};

struct Cfg {
  std::vector<Block> blocks;      // [0] is the entry; those no path leads to come last
  // Holds what this engine does not know (an unknown opcode, a jump out of the function): once that
  // runs anything may follow, so each instruction is a block of its own.
  bool opaque = false;
};

// Fills in Block::live_registers.
void FindLiveRegisters(const object::Function& function, Cfg& cfg);

Cfg BuildCfg(const object::Function& function);

}  // namespace bonsai::reachability
