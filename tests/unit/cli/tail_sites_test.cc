// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/tail_sites.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>

namespace bonsai::cli {
namespace {

using object::Function;
using object::Insn;
using object::RefKind;

constexpr uint8_t kLoad64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr uint8_t kMove = BPF_ALU64 | BPF_MOV | BPF_K;
constexpr uint8_t kMoveRegister = BPF_ALU64 | BPF_MOV | BPF_X;

Insn TailCall() { return {.opcode = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call}; }
Insn Number(uint8_t reg, int32_t value) { return {.opcode = kMove, .dst = reg, .imm = value}; }
Insn Copy(uint8_t to, uint8_t from) { return {.opcode = kMoveRegister, .dst = to, .src = from}; }

// r2 = map 4, then `insns`.
Function Code(std::vector<Insn> insns) {
  insns.insert(insns.begin(), {{.opcode = kLoad64, .dst = 2}, {}});
  return {.insns = insns, .refs = {{.slot = 0, .kind = RefKind::kMap, .index = 4}}};
}

TEST(TailSites, FoundInAStraightLine) {
  const auto sites = TailSites(Code({Number(3, 7), TailCall()}));
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(sites[0].call, 3u);
  EXPECT_EQ(sites[0].map, 4u);
  EXPECT_EQ(sites[0].slot, 7u);
}

TEST(TailSites, FoundThroughCopiesStoresAndBranchesNotTaken) {
  const Insn store{.opcode = BPF_STX | BPF_MEM | BPF_DW, .dst = 10, .src = 3, .offset = -8};
  const Insn branch{.opcode = BPF_JMP | BPF_JEQ | BPF_K, .dst = 6, .offset = 2};
  const auto sites =
      TailSites(Code({Number(7, 5), Copy(3, 7), store, branch, TailCall(), Number(0, 0)}));
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(sites[0].slot, 5u);
}

TEST(TailSites, LeftOutWhenSomethingIsNotKnown) {
  const Insn other_call{.opcode = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32};
  const Insn load{.opcode = BPF_LDX | BPF_MEM | BPF_W, .dst = 3, .src = 1};
  const Insn add{.opcode = BPF_ALU64 | BPF_ADD | BPF_K, .dst = 3, .imm = 1};
  const Insn fetch{.opcode = BPF_STX | BPF_ATOMIC | BPF_DW, .dst = 6, .src = 3,
                   .imm = BPF_ADD | BPF_FETCH};
  const Insn packet{.opcode = BPF_LD | BPF_ABS | BPF_W};
  const Insn unknown{.opcode = 0xff};
  for (const Insn& between : {other_call, load, add, fetch, packet, unknown, Copy(3, 6),
                              Copy(2, 6), Insn{.opcode = BPF_JMP | BPF_EXIT}}) {
    EXPECT_TRUE(TailSites(Code({Number(3, 7), between, TailCall()})).empty())
        << int{between.opcode};
  }
  EXPECT_TRUE(TailSites(Code({TailCall()})).empty());
}

TEST(TailSites, LeftOutWhereLinesMeet) {
  const Insn jump{.opcode = BPF_JMP | BPF_JNE | BPF_K, .dst = 6, .offset = 1};
  EXPECT_TRUE(TailSites(Code({Number(3, 7), jump, Number(3, 8), TailCall()})).empty());
  const Insn outside{.opcode = BPF_JMP | BPF_JNE | BPF_K, .dst = 6, .offset = 30000};
  EXPECT_EQ(TailSites(Code({Number(3, 7), outside, Number(3, 8), TailCall()})).at(0).slot, 8u);
}

TEST(TailSites, EachOfSeveral) {
  EXPECT_EQ(TailSites(Code({Number(3, 1), TailCall(), Number(3, 2), TailCall()})).size(), 1u)
      << "a call leaves nothing of r2";
  Function function = Code({Number(3, 1), TailCall(), {.opcode = kLoad64, .dst = 2}, {},
                            Number(3, 2), TailCall()});
  function.refs.push_back({.slot = 4, .kind = RefKind::kMap, .index = 5});
  const auto sites = TailSites(function);
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[1].call, 7u);
  EXPECT_EQ(sites[1].map, 5u);
  EXPECT_EQ(sites[1].slot, 2u);
}

}  // namespace
}  // namespace bonsai::cli
