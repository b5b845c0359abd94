// SPDX-License-Identifier: Apache-2.0
// Explanations of odd shapes that no compiler is asked for: hand-made functions without source
// lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include "agent/reachability/explain.h"
#include "agent/reachability/what_if.h"

namespace bonsai::reachability {
namespace {

using object::Insn;
using object::ObjectSpec;
using object::RefKind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Insn Make(int opcode, int dst, int src, int offset, int imm) {
  Insn insn;
  insn.opcode = static_cast<uint8_t>(opcode);
  insn.dst = static_cast<uint8_t>(dst & 15);
  insn.src = static_cast<uint8_t>(src & 15);
  insn.offset = static_cast<int16_t>(offset);
  insn.imm = imm;
  return insn;
}
Insn MovImm(int dst, int imm) { return Make(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
Insn JumpIf(int op, int dst, int imm, int offset) {
  return Make(BPF_JMP | op | BPF_K, dst, 0, offset, imm);
}
Insn LoadByte(int dst, int src) { return Make(BPF_LDX | BPF_MEM | BPF_B, dst, src, 0, 0); }
Insn Call() { return Make(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, -1); }
Insn Helper(int id) { return Make(BPF_JMP | BPF_CALL, 0, 0, 0, id); }
Insn Exit() { return Make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
Insn Unknown() { return Make(0xff, 0, 0, 0, 0); }

// A function and what it refers to, made instruction by instruction.
struct Code {
  std::vector<Insn> insns;
  std::vector<object::Ref> refs;

  Code& Add(Insn insn) {
    insns.push_back(insn);
    return *this;
  }
  Code& Address(int dst, RefKind kind, uint32_t index, int64_t offset = 0) {
    refs.push_back({static_cast<uint32_t>(insns.size()), kind, index, offset});
    insns.push_back(Make(BPF_LD | BPF_IMM | BPF_DW, dst, 0, 0, 0));
    insns.push_back(Make(0, 0, 0, 0, 0));
    return *this;
  }
  Code& Map(uint32_t index) { return Address(1, RefKind::kMap, index); }
  // The constant (a bool each) into a register.
  Code& Constant(int dst, uint32_t index) {
    return Address(dst, RefKind::kData, 0, index).Add(LoadByte(dst, dst));
  }
  // bpf_tail_call(_, m0, r3)
  Code& TailCall() { return Address(2, RefKind::kMap, 0).Add(Helper(12)); }
  Code& CallTo(uint32_t function) {
    refs.push_back({static_cast<uint32_t>(insns.size()), RefKind::kCall, function, 0});
    return Add(Call());
  }
  Code& Return() { return Add(MovImm(0, 0)).Add(Exit()); }
};

// Bools a and b, both false; maps m0, m1, ...; functions f0 (the program) and static ones f1, ...
ObjectSpec ObjectOf(const std::vector<Code>& functions, uint32_t maps) {
  ObjectSpec object{.name = "made"};
  for (size_t i = 0; i < functions.size(); ++i) {
    object.functions.push_back({.name = "f" + std::to_string(i), .section = "tc",
                                .is_global = i == 0, .insns = functions[i].insns,
                                .refs = functions[i].refs});
  }
  object.programs.push_back({.name = "f0", .section = "tc", .function = 0});
  for (uint32_t i = 0; i < maps; ++i) {
    object.maps.push_back({.name = "m" + std::to_string(i), .type = BPF_MAP_TYPE_ARRAY});
  }
  object.data_sections.push_back({.name = ".rodata", .bytes = {0, 0}, .read_only = true});
  for (const char* name : {"a", "b"}) {
    object.constants.push_back({.name = name, .offset = name[0] == 'a' ? 0u : 1u, .size = 1,
                                .is_bool = true, .is_integer = true});
  }
  return object;
}

// f0 makes tail calls to f1 in slot 1 of m0; f1 refers to m1.
ObjectSpec TailObjectOf(const Code& code) {
  ObjectSpec object = ObjectOf({code, Code().Map(1).Return()}, 2);
  object.maps[0].type = BPF_MAP_TYPE_PROG_ARRAY;
  object.programs.push_back(
      {.name = "f1", .section = "tc", .function = 1, .tail = object::TailSlot{"m0", 1}});
  return object;
}

struct Answers {
  explicit Answers(ObjectSpec spec)
      : object(std::move(spec)),
        constants(constants::Defaults(object)),
        liveness(*Analyze(object, constants)),
        explainer({object, constants, liveness}) {}
  Explanation Map(uint32_t index) const { return explainer.Of({ThingKind::kMap, index}); }
  Explanation Function(uint32_t index) const { return explainer.Of({ThingKind::kFunction, index}); }
  std::vector<std::string> Cuts(const Explanation& explanation) const {
    std::vector<std::string> names;
    for (const Deciding& deciding : explanation.deciding) {
      names.push_back(deciding.constants.empty() ? "" : deciding.constants[0].name);
    }
    return names;
  }
  ObjectSpec object;
  constants::ConstantSet constants;
  Liveness liveness;
  Explainer explainer;
};

// if (a) m0; if (b) m0;
TEST(Shapes, BothBranchesAreNamedWhenTwoWaysAreCut) {
  const Answers answers(ObjectOf({Code()
                                      .Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 2)).Map(0)
                                      .Constant(1, 1).Add(JumpIf(BPF_JEQ, 1, 0, 2)).Map(0)
                                      .Return()},
                                 1));
  const Explanation explanation = answers.Map(0);
  EXPECT_THAT(answers.Cuts(explanation), ElementsAre("a", "b"));
  EXPECT_EQ(explanation.deciding[0].place.slot, 3u);
  EXPECT_TRUE(explanation.deciding[0].taken);
  EXPECT_EQ(explanation.deciding[0].place.line, 0u);
  EXPECT_EQ(Reason(answers.object, explanation), "a = false at f0+3");
}

// if (a) { if (b) m0; }: the way to the second is cut before it.
TEST(Shapes, OnlyTheFirstBranchIsNamedWhenNested) {
  const Answers answers(ObjectOf({Code()
                                      .Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 6))
                                      .Constant(1, 1).Add(JumpIf(BPF_JEQ, 1, 0, 2)).Map(0)
                                      .Return()},
                                 1));
  EXPECT_THAT(answers.Cuts(answers.Map(0)), ElementsAre("a"));
  const auto both = Bring(answers.object, answers.constants, {ThingKind::kMap, 0});
  ASSERT_TRUE(both.ok() && both->found);
  EXPECT_THAT(both->changes, SizeIs(2));
  EXPECT_LE(both->analyses, 5u);
}

// if (b) { if (a) m0; } if (a) { ... m0; }: the way through b is nearer, but a alone does.
TEST(Shapes, CombinationHoldsNothingThatIsNotNeeded) {
  Code code;
  code.Constant(1, 1).Add(JumpIf(BPF_JEQ, 1, 0, 6));
  code.Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 2)).Map(0);
  code.Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 6));
  for (int i = 0; i < 4; ++i) code.Add(Make(BPF_JMP | BPF_JA, 0, 0, 0, 0));
  const Answers answers(ObjectOf({code.Map(0).Return()}, 1));
  EXPECT_THAT(answers.Cuts(answers.Map(0)), ElementsAre("b", "a"));
  const auto one = Bring(answers.object, answers.constants, {ThingKind::kMap, 0});
  ASSERT_TRUE(one.ok() && one->found);
  ASSERT_THAT(one->changes, SizeIs(1));
  EXPECT_EQ(one->changes[0].name, "a");
  EXPECT_EQ(one->changes[0].from, "false");
  EXPECT_EQ(one->changes[0].to, "true");
}

// if (!a) goto more; use: m0; return; more: if (!b) goto use; The way right past the first branch
// is shorter, but never taken.
TEST(Shapes, WitnessKeepsToWhatIsDecided) {
  const Answers answers(ObjectOf({Code()
                                      .Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 4))
                                      .Map(0).Return()
                                      .Constant(1, 1).Add(JumpIf(BPF_JEQ, 1, 0, -8)).Return()},
                                 1));
  const Explanation explanation = answers.Map(0);
  ASSERT_THAT(explanation.witness, SizeIs(4));
  EXPECT_EQ(explanation.witness[1].constants[0].name, "a");
  EXPECT_EQ(explanation.witness[2].constants[0].name, "b");
  EXPECT_TRUE(explanation.witness[2].taken);
}

// r3 = a ? 1 : 0; bpf_tail_call(_, m0, r3): the branch decides, not the call.
TEST(Shapes, SlotOfMergedTailCallsIsChosenWhereItIsSet) {
  const Answers answers(TailObjectOf(Code()
                                         .Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 2))
                                         .Add(MovImm(3, 1)).Add(Make(BPF_JMP | BPF_JA, 0, 0, 1, 0))
                                         .Add(MovImm(3, 0)).TailCall().Return()));
  const Explanation explanation = answers.explainer.Of({ThingKind::kProgram, 1});
  ASSERT_THAT(answers.Cuts(explanation), ElementsAre("a"));
  EXPECT_EQ(explanation.deciding[0].kind, Deciding::Kind::kBranch);
}

// A call that asks for the slot by name says more than a nearer one that might.
TEST(Shapes, TailCallsOfUnknownSlotsComeLast) {
  Code code;
  code.Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 6));
  for (int i = 0; i < 2; ++i) code.Add(Make(BPF_JMP | BPF_JA, 0, 0, 0, 0));
  code.Add(MovImm(3, 1)).TailCall();
  code.Constant(3, 1).TailCall().Return();
  const Answers answers(TailObjectOf(code));
  const Explanation explanation = answers.Map(1);
  ASSERT_THAT(answers.Cuts(explanation), ElementsAre("a", "b"));
  EXPECT_EQ(explanation.deciding[1].kind, Deciding::Kind::kTailCall);
  EXPECT_EQ(Reason(answers.object, explanation), "a = false at f0+3");
}

// if (a) bpf_loop(.., &f1, ..);
TEST(Shapes, CallbackIsCutWhereItsAddressWouldBeTaken) {
  const Answers answers(ObjectOf({Code()
                                      .Constant(3, 0).Add(JumpIf(BPF_JEQ, 3, 0, 3))
                                      .Address(2, RefKind::kFunctionAddress, 1)
                                      .Add(Helper(BPF_FUNC_loop)).Return(),
                                  Code().Return()},
                                 0));
  ASSERT_FALSE(answers.Function(1).live);
  EXPECT_THAT(answers.Cuts(answers.Function(1)), ElementsAre("a"));
}

// The address of a plus 1 is that of b.
TEST(Shapes, ConstantReadThroughAnotherOnesAddressIsTried) {
  const Answers answers(ObjectOf({Code()
                                      .Address(1, RefKind::kData, 0, 0)
                                      .Add(Make(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1))
                                      .Add(LoadByte(1, 1)).Add(JumpIf(BPF_JEQ, 1, 0, 2)).Map(0)
                                      .Return()},
                                 1));
  const auto alternatives = Alternatives(answers.object, answers.constants);
  ASSERT_TRUE(alternatives.ok());
  EXPECT_THAT(alternatives->unread, IsEmpty());
  EXPECT_EQ(alternatives->unread.size() + alternatives->changes.size(), 2u);
  ASSERT_THAT(Bringing(*alternatives, {ThingKind::kMap, 0}), SizeIs(1));
  EXPECT_EQ(Bringing(*alternatives, {ThingKind::kMap, 0})[0].name, "b");
}

// More ways than are kept: f1 is called from ten places, each cut by itself.
TEST(Shapes, ManyCutsAreBoundedAndSaidToBe) {
  Code code;
  for (int i = 0; i < 10; ++i) {
    code.Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 1)).CallTo(1);
  }
  const Answers answers(ObjectOf({code.Return(), Code().Map(0).Return()}, 1));
  EXPECT_THAT(answers.Function(1).deciding, SizeIs(kMaxDeciding));
  EXPECT_FALSE(answers.Function(1).complete);
  EXPECT_FALSE(answers.Map(0).complete);
}

TEST(Shapes, UncalledFunctionsAreNotReferredTo) {
  const Answers answers(ObjectOf({Code().Return(), Code().Map(0).Return()}, 2));
  EXPECT_FALSE(answers.Function(1).referred);
  EXPECT_THAT(answers.Function(1).deciding, IsEmpty());
  EXPECT_TRUE(answers.Map(0).referred);
  EXPECT_FALSE(answers.Map(1).referred);
  EXPECT_EQ(Reason(answers.object, answers.Map(1)), "");
  const auto never = Bring(answers.object, answers.constants, {ThingKind::kMap, 1});
  ASSERT_TRUE(never.ok());
  EXPECT_FALSE(never->found);
  EXPECT_EQ(never->analyses, 1u);
}

TEST(Shapes, CallThatNeverReturnsDecides) {
  const Answers answers(ObjectOf({Code().CallTo(1).Map(0).Return(),
                                  Code().Add(Make(BPF_JMP | BPF_JA, 0, 0, -1, 0))},
                                 1));
  const Explanation explanation = answers.Map(0);
  ASSERT_THAT(explanation.deciding, SizeIs(1));
  EXPECT_EQ(explanation.deciding[0].kind, Deciding::Kind::kCall);
  EXPECT_EQ(explanation.deciding[0].place.slot, 0u);
}

// f1(); if (a) { f1(); m0; }, where one of the returns of f1 is cut by b.
TEST(Shapes, ReturnsThatAreCutDecideNothingWhenTheCallIsDead) {
  Code callee;
  callee.Constant(1, 1).Add(JumpIf(BPF_JEQ, 1, 0, 2)).Return().Return();
  const Answers answers(ObjectOf({Code()
                                      .CallTo(1).Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 3))
                                      .CallTo(1).Map(0).Return(),
                                  callee},
                                 1));
  EXPECT_THAT(answers.Cuts(answers.Map(0)), ElementsAre("a"));
}

// f1 and f2 call each other, and nothing else calls them.
TEST(Shapes, RecursionEnds) {
  const Answers dead(ObjectOf({Code().Return(), Code().CallTo(2).Map(0).Return(),
                               Code().CallTo(1).Return()},
                              1));
  EXPECT_THAT(dead.Map(0).deciding, IsEmpty());
  const Answers live(ObjectOf({Code().CallTo(1).Return(), Code().Map(0).CallTo(2).Return(),
                               Code().CallTo(1).Return()},
                              1));
  EXPECT_THAT(live.Map(0).witness, SizeIs(3));
}

// After an instruction that is not known anything may run, also what no jump leads to.
TEST(Shapes, WitnessGoesOnAfterUnknownInstructions) {
  const Answers answers(ObjectOf({Code().Add(Unknown()).Return().Map(0).Return()}, 1));
  ASSERT_TRUE(answers.Map(0).live);
  ASSERT_THAT(answers.Map(0).witness, SizeIs(2));
  EXPECT_EQ(answers.Map(0).witness[1].place.slot, 3u);
}

TEST(Shapes, InnerMapIsHeldByTheOneReferredTo) {
  ObjectSpec object = ObjectOf({Code().Map(0).Return()}, 2);
  object.maps[0].type = BPF_MAP_TYPE_ARRAY_OF_MAPS;
  object.maps[0].initial_maps = {{0, "m1"}};
  const Answers answers(object);
  const Explanation explanation = answers.Map(1);
  ASSERT_THAT(explanation.witness, SizeIs(3));
  EXPECT_EQ(explanation.witness[1].name, "m0");
  EXPECT_EQ(explanation.witness[2].kind, Step::Kind::kHeld);
  EXPECT_EQ(WhyLive(answers.object, explanation), "f0, m0 at f0+0, which holds m1");
}

// A branch around something is not needed to get behind it.
TEST(Shapes, BranchesThatJoinAgainAreNotNeeded) {
  const Answers answers(ObjectOf({Code()
                                      .Constant(1, 0).Add(JumpIf(BPF_JEQ, 1, 0, 1))
                                      .Add(MovImm(6, 1))
                                      .Constant(1, 1).Add(JumpIf(BPF_JEQ, 1, 0, 2)).Return()
                                      .Map(0).Return()},
                                 1));
  const Explanation explanation = answers.Map(0);
  ASSERT_THAT(explanation.witness, SizeIs(4));
  EXPECT_EQ(explanation.witness[1].constants[0].name, "a");
  EXPECT_FALSE(explanation.witness[1].needed);
  EXPECT_EQ(explanation.witness[2].constants[0].name, "b");
  EXPECT_TRUE(explanation.witness[2].needed);
  EXPECT_EQ(WhyLive(answers.object, explanation, 3), "f0, b = false at f0+8, m0 at f0+11 (1 more)");
}

}  // namespace
}  // namespace bonsai::reachability
