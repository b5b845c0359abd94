// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/neutralise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plan/sample.h"

namespace bonsai::plan {
namespace {

using ::testing::HasSubstr;
using object::RefKind;

// entry:  0 if (r1 == 0) goto 2 | 1 call callee | 2 r0 = 2 | 3 exit, with slot 1 dead
struct Guarded : Sample {
  uint32_t callee;
  Guarded() : Sample("entry", "tc", {JumpEq(1, 0, 1), CallFunction(), MovImm(0, 2), Exit()}) {
    spec.functions[0].section = "tc";
    spec.functions[0].section_slot = 10;
    callee = AddFunction("callee", {MovImm(0, 0), Exit()});
    spec.functions[callee].is_global = true;
    spec.functions[callee].section = ".text";
    Refer(0, 1, RefKind::kCall, callee);
    Kill(0, {1});
    liveness.branches.push_back({.function = 0, .slot = 0, .taken = true,
                                 .constants = {"enable_x"}, .file = "a/entry.bpf.c", .line = 4,
                                 .text = "if (enable_x)"});
    KillAll(callee);
  }
  void Kill(uint32_t function, std::initializer_list<uint32_t> slots) {
    for (uint32_t slot : slots) liveness.functions[function].live_slots[slot] = false;
  }
  void KillAll(uint32_t function) {
    auto& facts = liveness.functions[function];
    facts.live = false;
    facts.live_slots.assign(facts.live_slots.size(), false);
  }
  std::vector<NeutralisedFunction> Plan() const {
    constants::ConstantSet constants;
    constants.values.push_back({.name = "enable_x", .value = "false"});
    return Neutralise({&spec, constants, liveness});
  }
};

TEST(Neutralise, CutsTheDeadCallAndSaysWhy) {
  const auto plan = Guarded().Plan();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].name, "callee");
  EXPECT_EQ(plan[0].reason, "enable_x = false at entry.bpf.c:4 `if (enable_x)`");
  EXPECT_TRUE(plan[0].everywhere);
  EXPECT_EQ(plan[0].slots, 2u);
  ASSERT_EQ(plan[0].calls.size(), 1u);
  EXPECT_EQ(plan[0].calls[0].section, "tc");
  EXPECT_EQ(plan[0].calls[0].slot, 11u);
}

TEST(Neutralise, CutsNoLiveCall) {
  Guarded sample;
  sample.liveness.functions[0].live_slots[1] = true;
  EXPECT_TRUE(sample.Plan().empty());
}

TEST(Neutralise, LeavesStaticFunctionsAndPrograms) {
  Guarded sample;
  sample.spec.functions[sample.callee].is_global = false;
  EXPECT_TRUE(sample.Plan().empty());
  sample.spec.functions[sample.callee].is_global = true;
  object::Program program;
  program.name = "callee";
  program.function = sample.callee;
  sample.spec.programs.push_back(program);
  EXPECT_TRUE(sample.Plan().empty());
}

TEST(Neutralise, CutsTheDeadCallOfAFunctionThatLivesElsewhere) {
  Guarded sample;
  sample.liveness.functions[sample.callee].live = true;
  const auto plan = sample.Plan();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_FALSE(plan[0].everywhere);
}

TEST(Neutralise, ExplainsThroughDeadCallers) {
  Guarded sample;
  const uint32_t inner = sample.AddFunction("inner", {MovImm(0, 0), Exit()});
  sample.spec.functions[inner].is_global = true;
  sample.spec.functions[sample.callee].insns =
      object::Insns({CallFunction(), Exit()});
  sample.Refer(sample.callee, 0, RefKind::kCall, inner);
  sample.KillAll(inner);
  const auto plan = sample.Plan();
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[1].name, "inner");
  EXPECT_THAT(plan[1].reason, HasSubstr("enable_x = false"));
  sample.liveness.branches.clear();
  EXPECT_EQ(sample.Plan()[1].reason, "only code that is never run calls it");
}

// A second symbol for the code of the entry, that nothing calls and that so looks dead.
TEST(Neutralise, KeepsACallThatIsAliveUnderAnotherName) {
  Guarded sample;
  sample.liveness.functions[0].live_slots[1] = true;
  const object::Insns code = sample.spec.functions[0].insns;
  const uint32_t alias = sample.AddFunction("alias", {code.begin(), code.end()});
  sample.spec.functions[alias].section = "tc";
  sample.spec.functions[alias].section_slot = 10;
  sample.Refer(alias, 1, RefKind::kCall, sample.callee);
  sample.KillAll(alias);
  EXPECT_TRUE(sample.Plan().empty());
  sample.liveness.functions[0].live_slots[1] = false;
  const auto plan = sample.Plan();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].calls.size(), 1u) << "one place, two names";
}

}  // namespace
}  // namespace bonsai::plan
