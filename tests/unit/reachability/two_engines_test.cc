// SPDX-License-Identifier: Apache-2.0
// Large objects are analysed by two engines, in two threads where a worker is to be had.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include "agent/base/worker.h"
#include "agent/reachability/liveness.h"

namespace bonsai::reachability {
namespace {

object::Insn Make(int opcode, int dst, int offset, int imm) {
  object::Insn insn;
  insn.opcode = static_cast<uint8_t>(opcode);
  insn.dst = static_cast<uint8_t>(dst & 15);
  insn.offset = static_cast<int16_t>(offset);
  insn.imm = imm;
  return insn;
}

// r0 is 0, tested again and again: of each five slots the last two are dead.
object::Function FunctionOf(const std::string& name, int tests) {
  std::vector<object::Insn> code = {Make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0)};
  for (int i = 0; i < tests; ++i) {
    code.push_back(Make(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, i));
    code.push_back(Make(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 1));
    code.push_back(Make(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0));
    code.push_back(Make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 1));
    code.push_back(Make(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 1));
  }
  code.push_back(Make(BPF_JMP | BPF_EXIT, 0, 0, 0));
  return {.name = name, .section = "tc", .is_global = true, .insns = std::move(code)};
}

// Large enough for two engines, each with programs.
object::ObjectSpec LargeObject() {
  object::ObjectSpec object{.name = "large"};
  for (uint32_t i = 0; i < 6; ++i) {
    const std::string name = "program" + std::to_string(i);
    object.functions.push_back(FunctionOf(name, 700 + static_cast<int>(i)));
    object.programs.push_back({.name = name, .section = "tc", .function = i});
  }
  return object;
}

TEST(TwoEngines, FindInEachProgramWhatOneWouldFind) {
  const object::ObjectSpec object = LargeObject();
  ASSERT_GE(object.SlotCount(), 1u << 14);
  base::Worker worker;
  for (int round = 0; round < 20; ++round) {
    const auto liveness =
        Analyze(object, constants::Defaults(object), {}, round % 2 == 0 ? &worker : nullptr);
    ASSERT_TRUE(liveness.ok()) << liveness.status();
    for (uint32_t i = 0; i < object.programs.size(); ++i) {
      EXPECT_TRUE(liveness->programs[i].live);
      EXPECT_TRUE(liveness->functions[i].live);
      const SlotRanges& ranges = liveness->programs[i].code.at(i);
      EXPECT_EQ(ranges.size(), 701 + i);  // the first with r0, the last with the exit
      EXPECT_EQ(ranges.front(), std::make_pair(0u, 3u));
      EXPECT_EQ(ranges[1], std::make_pair(6u, 8u));
    }
    EXPECT_EQ(liveness->live_insns, 6 * 2 + 3 * (6 * 700 + 15));
    EXPECT_EQ(liveness->total_insns, object.SlotCount());
    EXPECT_EQ(liveness->decisions.size(), 6 * 700 + 15u);
  }
}

}  // namespace
}  // namespace bonsai::reachability
