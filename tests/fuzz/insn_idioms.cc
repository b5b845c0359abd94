// SPDX-License-Identifier: Apache-2.0
// Sequences that random instructions hardly ever come upon.
#include <linux/bpf.h>

#include "tests/fuzz/engine_input.h"
#include "tests/fuzz/insn_mutator.h"

namespace bonsai::fuzz {
namespace {

constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr int16_t kContextSlot = -72;  // where Prologue() keeps r1

int16_t Slot(Random& random) { return static_cast<int16_t>(-8 * (1 + static_cast<int>(random() % 6))); }
uint8_t Callee(Random& random) { return 6 + random() % 4; }

Insn Move(uint8_t dst, int32_t imm) {
  return {.opcode = BPF_ALU64 | BPF_MOV | BPF_K, .dst = dst, .imm = imm};
}
Insn Copy(uint8_t dst, uint8_t src) {
  return {.opcode = BPF_ALU64 | BPF_MOV | BPF_X, .dst = dst, .src = src};
}
Insn Helper(int32_t helper) { return {.opcode = BPF_JMP | BPF_CALL, .imm = helper}; }

void AddressOf(uint8_t reg, int16_t offset, std::vector<Insn>& code) {
  code.push_back(Copy(reg, 10));
  code.push_back({.opcode = BPF_ALU64 | BPF_ADD | BPF_K, .dst = reg, .imm = offset});
}

void LoadImm64(uint8_t reg, uint8_t kind, int32_t imm, std::vector<Insn>& code) {
  code.push_back({.opcode = kLoadImm64, .dst = reg, .src = kind, .imm = imm});
  code.push_back({});
}

// r1 to r5 as they are after a call, numbers again.
void Refill(Random& random, std::vector<Insn>& code) {
  for (uint8_t reg = 1; reg < 6; ++reg) code.push_back(Copy(reg, Callee(random)));
}

void TailCall(Random& random, std::vector<Insn>& code) {
  code.push_back({.opcode = BPF_LDX | BPF_MEM | BPF_DW, .dst = 1, .src = 10, .offset = kContextSlot});
  LoadImm64(2, 1, kCalls, code);
  code.push_back(random() % 2 ? Move(3, static_cast<int32_t>(random() % 2)) : Copy(3, Callee(random)));
  code.push_back(Helper(BPF_FUNC_tail_call));
}

Insn Branch(uint8_t reg, Random& random) {
  return {.opcode = BPF_JMP | BPF_JEQ | BPF_K, .dst = reg,
          .offset = static_cast<int16_t>(1 + random() % 4), .imm = static_cast<int32_t>(random() % 3)};
}

void BranchOnStack(int16_t offset, Random& random, std::vector<Insn>& code) {
  const uint8_t size = (random() % 4) << 3;
  const uint8_t reg = Callee(random);
  code.push_back({.opcode = static_cast<uint8_t>(BPF_LDX | BPF_MEM | size), .dst = reg, .src = 10,
                  .offset = offset});
  code.push_back(Branch(reg, random));
}

// A function given an address of this frame and a number; the global one just the context.
void Call(Random& random, std::vector<Insn>& code) {
  const bool global = random() % 4 == 0;
  const int16_t slot = Slot(random);
  if (global) {
    code.push_back({.opcode = BPF_LDX | BPF_MEM | BPF_DW, .dst = 1, .src = 10, .offset = kContextSlot});
  } else {
    AddressOf(1, slot, code);
  }
  code.push_back(Move(2, static_cast<int32_t>(random() % 3)));
  code.push_back({.opcode = BPF_JMP | BPF_CALL, .src = BPF_PSEUDO_CALL, .imm = global ? 3 : 2});
  Refill(random, code);
  if (random() % 2) {
    code.push_back(Branch(0, random));
  } else {
    BranchOnStack(slot, random, code);
  }
}

// Its callback, function 2, gets the address.
void Loop(Random& random, std::vector<Insn>& code) {
  code.push_back(Move(1, static_cast<int32_t>(random() % 4)));
  LoadImm64(2, 4, 2, code);
  const int16_t slot = Slot(random);
  AddressOf(3, slot, code);
  code.push_back(Move(4, 0));
  code.push_back(Helper(BPF_FUNC_loop));
  Refill(random, code);
  BranchOnStack(slot, random, code);
}

}  // namespace

std::vector<Insn> Prologue(Random& random) {
  std::vector<Insn> code{
      {.opcode = BPF_STX | BPF_MEM | BPF_DW, .dst = 10, .src = 1, .offset = kContextSlot}};
  for (uint8_t reg = 6; reg < 10; ++reg) {
    if (random() % 2) {  // of the read-only section
      LoadImm64(reg, 2, static_cast<int32_t>(random() % 24), code);
      code.push_back({.opcode = static_cast<uint8_t>(BPF_LDX | BPF_MEM | (random() % 4) << 3),
                      .dst = reg, .src = reg});
    } else if (random() % 2) {
      code.push_back(Helper(BPF_FUNC_get_prandom_u32));
      code.push_back(Copy(reg, 0));
    } else {
      code.push_back(Move(reg, random() % 2 ? static_cast<int32_t>(random()) : random() % 4));
    }
  }
  for (uint8_t reg = 0; reg < 6; ++reg) {
    code.push_back(Copy(reg, Callee(random)));
  }
  for (int16_t offset = -48; offset < 0; offset += 8) {
    code.push_back({.opcode = BPF_STX | BPF_MEM | BPF_DW, .dst = 10,
                    .src = static_cast<uint8_t>(random() % 10), .offset = offset});
  }
  return code;
}

std::vector<Insn> Idiom(Random& random) {
  std::vector<Insn> code;
  switch (random() % 5) {
    case 0: Loop(random, code); return code;
    case 1: TailCall(random, code); break;
    case 2: Call(random, code); return code;
    default: {
      const auto offset = static_cast<int16_t>(Slot(random) - static_cast<int>(random() % 9));
      BranchOnStack(offset, random, code);
      return code;
    }
  }
  Refill(random, code);
  return code;
}

}  // namespace bonsai::fuzz
