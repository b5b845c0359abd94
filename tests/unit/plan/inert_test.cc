// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/inert.h"

#include <gtest/gtest.h>

#include "tests/unit/plan/sample.h"

namespace bonsai::plan {
namespace {

bool Inert(const Sample& sample) { return IsInert(sample.spec, sample.liveness, 0); }

TEST(IsInert, WhenOnlyTheVerdictToPassIsLeft) {
  EXPECT_TRUE(Inert(Sample("xdp", "xdp", {MovImm(0, XDP_PASS), Exit()})));
  EXPECT_TRUE(Inert(Sample("from_pod", "tc", {MovImm(0, -1), Exit()})));
  EXPECT_TRUE(Inert(Sample("from_pod", "tcx/ingress", {I(0xb4, 0, 0, 0, -1), Exit()})))
      << "a 32-bit move";
}

TEST(IsInert, WhenTheAgentWouldRunItForNothing) {
  EXPECT_TRUE(Inert(Sample("life", "syscall", {MovImm(0, 0), Exit()})));
  EXPECT_FALSE(Inert(Sample("life", "syscall", {MovImm(0, 1), Exit()}))) << "it says something";
  EXPECT_FALSE(Inert(Sample("life", "syscall", {I(0x7b, 1, 2), MovImm(0, 0), Exit()})))
      << "it answers in its context";
}

TEST(IsInert, NotWithAnyOtherVerdict) {
  EXPECT_FALSE(Inert(Sample("xdp", "xdp", {MovImm(0, XDP_DROP), Exit()})));
  EXPECT_FALSE(Inert(Sample("from_pod", "tc", {MovImm(0, 0), Exit()})))
      << "TC_ACT_OK ends the chain of programs";
  EXPECT_FALSE(Inert(Sample("probe", "kprobe", {MovImm(0, 0), Exit()}))) << "no verdict known";
}

TEST(IsInert, FollowsTheVerdictThroughBranchesAndRegisters) {
  // r6 = PASS; if (r1 == 0) goto end; r6 = PASS; end: r0 = r6
  EXPECT_TRUE(Inert(Sample("xdp", "xdp", {MovImm(6, 2), JumpEq(1, 0, 1), MovImm(6, 2),
                                          MovReg(0, 6), Exit()})));
  // ... where one way drops
  EXPECT_FALSE(Inert(Sample("xdp", "xdp", {MovImm(6, 2), JumpEq(1, 0, 1), MovImm(6, 1),
                                           MovReg(0, 6), Exit()})));
  // Two ways out, one of which drops.
  EXPECT_FALSE(Inert(Sample("xdp", "xdp", {JumpEq(1, 0, 2), MovImm(0, 2), Exit(), MovImm(0, 1),
                                           Exit()})));
  // The verdict is read from the packet.
  EXPECT_FALSE(Inert(Sample("xdp", "xdp", {MovImm(0, 2), I(0x61, 0, 1), Exit()})));
  // A way back: the second round brings another value.
  EXPECT_FALSE(Inert(Sample("xdp", "xdp", {MovImm(0, 2), JumpEq(1, 0, 2), MovImm(0, 1), Goto(-3),
                                           Exit()})));
}

TEST(IsInert, IgnoresDeadInstructions) {
  Sample sample("xdp", "xdp", {JumpEq(1, 0, 2), MovImm(0, XDP_DROP), Exit(), MovImm(0, 2), Exit()});
  EXPECT_FALSE(Inert(sample));
  sample.liveness.functions[0].live_slots = {true, false, false, true, true};
  EXPECT_TRUE(Inert(sample));
}

TEST(IsInert, NotWithAMapOrTailCall) {
  Sample sample("xdp", "xdp", {MovImm(0, XDP_PASS), Exit()});
  sample.AddMap(Hash("denied", 8), {0});
  EXPECT_FALSE(Inert(sample));
  sample.liveness.programs[0].maps.clear();
  EXPECT_TRUE(Inert(sample));
  sample.liveness.programs[0].tail_calls = {{"calls", 0}};
  EXPECT_FALSE(Inert(sample));
  sample.liveness.programs[0].tail_calls.clear();
  sample.liveness.programs[0].tail_calls_unknown_slot = true;
  EXPECT_FALSE(Inert(sample));
}

TEST(IsInert, NotWithASideEffect) {
  EXPECT_FALSE(Inert(Sample("a", "tc", {I(0x63, 1, 2, 8), MovImm(0, -1), Exit()})))
      << "writes the mark of the packet";
  EXPECT_TRUE(Inert(Sample("a", "tc", {I(0x63, 10, 2, -8), MovImm(0, -1), Exit()})))
      << "writes its own stack";
  EXPECT_FALSE(Inert(Sample("a", "tc", {CallHelper(BPF_FUNC_redirect), MovImm(0, -1), Exit()})));
  EXPECT_TRUE(Inert(Sample("a", "tc", {CallHelper(BPF_FUNC_jiffies64), MovImm(0, -1), Exit()})));
  EXPECT_FALSE(Inert(Sample("a", "tc", {CallHelper(99999), MovImm(0, -1), Exit()})))
      << "a helper we do not know";
  EXPECT_FALSE(Inert(Sample("a", "tc", {I(0x85, 0, 2, 0, 7), MovImm(0, -1), Exit()})))
      << "a kernel function";
  EXPECT_FALSE(Inert(Sample("a", "tc", {I(0x30, 0, 0, 0, 12), MovImm(0, -1), Exit()})))
      << "LD_ABS may end the program";
  EXPECT_FALSE(Inert(Sample("a", "tc", {I(0x8d, 0), MovImm(0, -1), Exit()}))) << "call by register";
}

TEST(IsInert, LooksIntoFunctions) {
  auto with_callee = [](std::vector<object::Insn> callee) {
    Sample sample("xdp", "xdp", {CallFunction(), Exit()});
    uint32_t function = sample.AddFunction("decide", std::move(callee));
    sample.Refer(0, 0, object::RefKind::kCall, function);
    sample.liveness.programs[0].functions.insert(function);
    return sample;
  };
  EXPECT_TRUE(Inert(with_callee({MovImm(0, XDP_PASS), Exit()})));
  EXPECT_FALSE(Inert(with_callee({MovImm(0, XDP_DROP), Exit()})));
  EXPECT_FALSE(Inert(with_callee({I(0x7b, 1, 2), MovImm(0, XDP_PASS), Exit()})));
}

TEST(IsInert, EndsOnAFunctionThatCallsItself) {
  Sample sample("xdp", "xdp", {CallFunction(), Exit()});
  sample.Refer(0, 0, object::RefKind::kCall, 0);
  EXPECT_FALSE(Inert(sample));
}

TEST(IsInert, NotWhenTheLoaderRewritesTheVerdict) {
  Sample sample("xdp", "xdp", {MovImm(0, XDP_PASS), Exit()});
  sample.Refer(0, 0, object::RefKind::kCore, 0);
  EXPECT_FALSE(Inert(sample));
}

}  // namespace
}  // namespace bonsai::plan
