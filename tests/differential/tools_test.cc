// SPDX-License-Identifier: Apache-2.0
// The tools the differential tests rest on, without the kernel.
#include <gtest/gtest.h>

#include "tests/differential/c_case.h"
#include "tests/differential/insn_case.h"
#include "tests/differential/shrink.h"

namespace bonsai::differential {
namespace {

TEST(Shrink, FindsTheFewPartsThatMatter) {
  std::vector<bool> kept(100, true);
  int tries = 0, budget = 1000;
  Shrink(kept, budget, [&](const std::vector<bool>& parts) {
    ++tries;
    return parts[17] && parts[18] && parts[83];
  });
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i], i == 17 || i == 18 || i == 83) << i;
  EXPECT_LT(tries, 200);
}

TEST(Shrink, StopsAtItsBudget) {
  std::vector<bool> kept(100, true);
  int tries = 0, budget = 5;
  Shrink(kept, budget, [&](const std::vector<bool>&) { return ++tries < 0; });
  EXPECT_EQ(tries, 5);
  EXPECT_TRUE(kept[0] && kept[99]);
}

TEST(CCase, NumbersNodesAsTheyStandInTheText) {
  CCase made;
  made.parts = {{"one {", {{"two", {}, ""}, {"three {", {{"four", {}, ""}}, "}"}}, "}"},
                {"five", {}, ""}};
  using Level = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(made.Levels(), (std::vector<Level>{{{0, 4}, {4, 5}}, {{1, 2}, {2, 4}}, {{3, 4}}}));
  const std::string text = made.Text({true, false, false, true, false});
  EXPECT_NE(text.find("one {\n\tfour\n}\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("five"), std::string::npos);
}

TEST(Generators, MakeTheSameOfTheSameSeed) {
  const Variant variant{.clang = "clang", .cpu = "v3", .level = "O2"};
  Random first(5), second(5), other(6);
  const std::string text = GenerateC(first, variant).Text();
  EXPECT_EQ(text, GenerateC(second, variant).Text());
  EXPECT_NE(text, GenerateC(other, variant).Text());
  EXPECT_EQ(GenerateInsns(first).Text(), GenerateInsns(second).Text());
}

bpf_insn Insn(int code, int off, int imm) {
  bpf_insn insn{};
  insn.code = static_cast<uint8_t>(code);
  insn.off = static_cast<int16_t>(off);
  insn.imm = imm;
  return insn;
}

TEST(InsnCase, JumpsGoToWhatIsLeft) {
  InsnCase made;
  made.functions.resize(1);
  const bpf_insn set = Insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0);
  made.functions[0].items = {{.insn = set},
                             {.insn = Insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0), .target = 3},
                             {.insn = set},
                             {.insn = set},
                             {.insn = Insn(BPF_JMP | BPF_EXIT, 0, 0)}};
  EXPECT_EQ(made.Spec().functions[0].insns[1].offset, 1);
  EXPECT_EQ(made.Without({true, true, true, false, true}).Spec().functions[0].insns[1].offset, 1);
  EXPECT_EQ(made.Without({false, true, false, true, true}).Spec().functions[0].insns[0].offset, 0);
}

TEST(Probe, KeepsJumpsAndCallsWhereTheyGo) {
  bpf_insn call = Insn(BPF_JMP | BPF_CALL, 0, 2);
  call.src_reg = BPF_PSEUDO_CALL;
  const bpf_insn exit = Insn(BPF_JMP | BPF_EXIT, 0, 0);
  // 0: if .. goto 3; 1: call 4; 2: exit; 3: tail call; 4: exit
  const std::vector<bpf_insn> insns = {Insn(BPF_JMP | BPF_JEQ | BPF_K, 2, 0), call, exit,
                                       Insn(BPF_JMP | BPF_CALL, 0, BPF_FUNC_tail_call), exit};
  const Probed probed =
      PutIn(insns, {{.slot = 3, .reg = 3, .value = 7}, {.slot = 3, .reg = 3, .value = 8}});
  EXPECT_EQ(probed.place, (std::vector<size_t>{0, 1, 2, 7, 8}));
  EXPECT_EQ(probed.answers, (std::vector<size_t>{4, 6}));
  EXPECT_EQ(probed.insns[0].off, 2);   // to the first question
  EXPECT_EQ(probed.insns[1].imm, 6);   // over both
  EXPECT_EQ(probed.insns[3].off, 1);
  EXPECT_EQ(probed.insns[3].imm, 7);
}

}  // namespace
}  // namespace bonsai::differential
