// SPDX-License-Identifier: Apache-2.0
// Explanations of objects as compilers make them: constants, values and lines are the right ones,
// witnesses pass live code only, and what is said to cut or to bring does so.
#include "agent/reachability/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "agent/reachability/what_if.h"

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<std::string> Objects() {
  std::vector<std::string> paths;
  std::stringstream list(TEST_BPF_VARIANTS);
  for (std::string variant; std::getline(list, variant, ',');) {
    paths.push_back(std::string(TEST_BPF_DIR) + "/uses." + variant + ".o");
  }
  return paths;
}

std::vector<std::string> AllObjects() {
  std::vector<std::string> paths = Objects();
  for (const char* name : {"from_pod", "to_pod", "from_netdev", "xdp"}) {
    paths.push_back(std::string(BONSAI_BPF_DIR) + "/" + name + ".bpf.o");
  }
  return paths;
}

class Explained : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto read = object::Read(GetParam());
    ASSERT_TRUE(read.ok()) << read.status();
    object_ = *read;
    constants_ = constants::Defaults(object_);
  }
  void Set(const std::string& name, int64_t value) { SetIn(constants_, name, value); }
  void SetIn(constants::ConstantSet& set, const std::string& name, int64_t value) {
    const auto status = constants::Override(object_, name, value, set);
    ASSERT_TRUE(status.ok()) << status;
  }
  void Run(const std::vector<std::string>& entries = {}) {
    entries_ = entries;
    liveness_ = LivenessOf(constants_);
    explainer_ = std::make_unique<Explainer>(Subject{object_, constants_, liveness_, entries_});
  }
  Liveness LivenessOf(const constants::ConstantSet& set) {
    auto liveness = Analyze(object_, set, entries_);
    EXPECT_TRUE(liveness.ok()) << liveness.status();
    return *std::move(liveness);
  }
  Thing Named(ThingKind kind, const std::string& name) const {
    for (const Thing thing : Things()) {
      if (thing.kind == kind && NameOf(object_, thing) == name) return thing;
    }
    ADD_FAILURE() << "no " << name;
    return {};
  }
  Thing Map(const std::string& name) const { return Named(ThingKind::kMap, name); }
  Thing Program(const std::string& name) const { return Named(ThingKind::kProgram, name); }
  Thing Function(const std::string& name) const { return Named(ThingKind::kFunction, name); }
  std::vector<Thing> Things() const {
    std::vector<Thing> things;
    for (uint32_t i = 0; i < object_.maps.size(); ++i) things.push_back({ThingKind::kMap, i});
    for (uint32_t i = 0; i < object_.programs.size(); ++i) {
      things.push_back({ThingKind::kProgram, i});
    }
    for (uint32_t i = 0; i < object_.functions.size(); ++i) {
      things.push_back({ThingKind::kFunction, i});
    }
    return things;
  }
  void Shuffle(std::mt19937& random) {
    for (const object::Constant& constant : object_.constants) {
      if (!constant.is_integer || constant.size > 4) continue;
      const int64_t low = constant.min.value_or(0);
      const int64_t most = std::min<int64_t>(constant.max.value_or(9), low + 9);
      const int64_t high = constant.is_bool ? 1 : most;
      Set(constant.name, std::uniform_int_distribution<int64_t>(low, high)(random));
    }
  }
  Explanation Of(Thing thing) const { return explainer_->Of(thing); }

  bool IsLiveSlot(const Place& place) const {
    const std::vector<bool>& slots = liveness_.functions.at(place.function).live_slots;
    return place.slot < slots.size() && slots[place.slot];
  }
  std::string ValueIn(const constants::ConstantSet& set, const std::string& name) const {
    for (const constants::NamedValue& value : set.values) {
      if (value.name == name) return value.value;
    }
    return "";
  }

  void CheckWitness(const Explanation& explanation) const;
  void CheckDeciding(const Explanation& explanation) const;
  void CheckAll() const {
    for (const Thing thing : Things()) {
      SCOPED_TRACE(NameOf(object_, thing));
      const Explanation explanation = Of(thing);
      EXPECT_EQ(explanation.live, IsLive(liveness_, thing));
      if (explanation.live) {
        EXPECT_THAT(explanation.deciding, IsEmpty());
        CheckWitness(explanation);
      } else {
        EXPECT_THAT(explanation.witness, IsEmpty());
        CheckDeciding(explanation);
      }
    }
  }

  ObjectSpec object_;
  constants::ConstantSet constants_;
  std::vector<std::string> entries_;
  Liveness liveness_;
  std::unique_ptr<Explainer> explainer_;
};

// From an entry, over live slots of programs that are alive, to the thing itself.
void Explained::CheckWitness(const Explanation& explanation) const {
  const std::vector<Step>& steps = explanation.witness;
  ASSERT_THAT(steps, Not(IsEmpty()));
  EXPECT_EQ(steps.front().kind, Step::Kind::kEntry);
  EXPECT_FALSE(object_.programs[steps.front().program].tail.has_value());
  uint32_t program = steps.front().program;
  for (const Step& step : steps) {
    EXPECT_TRUE(IsLiveSlot(step.place)) << step.name << " at slot " << step.place.slot;
    EXPECT_TRUE(liveness_.programs[step.program].live);
    if (step.kind == Step::Kind::kTailCall) {
      const auto& tails = liveness_.programs[program].tail_calls;
      EXPECT_TRUE(std::any_of(tails.begin(), tails.end(), [&](const object::TailSlot& tail) {
        return tail.map == step.tail.map && tail.slot == step.tail.slot;
      })) << step.tail.map << "/" << step.tail.slot;
      EXPECT_EQ(object_.programs[step.program].name, step.name);
    } else {
      EXPECT_EQ(step.program, program);
    }
    program = step.program;
    if (step.kind != Step::Kind::kBranch) continue;
    EXPECT_THAT(step.constants, Not(IsEmpty()));
    for (const ConstantValue& constant : step.constants) {
      const std::string value = ValueIn(constants_, constant.name);
      if (!value.empty()) {
        EXPECT_EQ(constant.value, value);
      }
    }
  }
  const ThingKind kind = explanation.thing.kind;
  if (kind == ThingKind::kMap) {
    EXPECT_EQ(steps.back().name, NameOf(object_, explanation.thing));
    EXPECT_GE(steps.back().kind, Step::Kind::kReference);
  } else if (kind == ThingKind::kProgram) {
    EXPECT_EQ(steps.back().program, explanation.thing.index);
  }
  EXPECT_THAT(WhyLive(object_, explanation), HasSubstr(NameOf(object_, explanation.thing)));
}

// Live places, each with the value its constants have; something decides unless nothing refers.
void Explained::CheckDeciding(const Explanation& explanation) const {
  const bool entry = explanation.thing.kind != ThingKind::kMap && !explanation.referred;
  EXPECT_EQ(explanation.deciding.empty(), entry || !explanation.referred);
  EXPECT_EQ(Reason(object_, explanation).empty(), explanation.deciding.empty());
  EXPECT_LE(explanation.deciding.size(), 2 * kMaxDeciding);
  std::set<std::tuple<std::string, uint32_t, std::string>> lines;
  for (const Deciding& deciding : explanation.deciding) {
    EXPECT_TRUE(IsLiveSlot(deciding.place));
    std::string names;
    for (const ConstantValue& constant : deciding.constants) {
      const std::string value = ValueIn(constants_, constant.name);
      if (!value.empty()) {
        EXPECT_EQ(constant.value, value);
      }
      names += constant.name + ",";
    }
    if (deciding.place.line == 0) continue;
    EXPECT_TRUE(lines.emplace(deciding.place.file, deciding.place.line, names).second)
        << deciding.place.file << ":" << deciding.place.line << " twice";
    if (deciding.kind != Deciding::Kind::kBranch) continue;
    const auto decided = [&](const Decision& decision) {
      return decision.function == deciding.place.function &&
             decision.slot == deciding.place.slot && decision.taken == deciding.taken;
    };
    EXPECT_TRUE(std::any_of(liveness_.decisions.begin(), liveness_.decisions.end(), decided));
  }
}

class UsesExplained : public Explained {
 protected:
  void TurnOn() {
    for (const auto& [name, value] : std::vector<std::pair<std::string, int64_t>>{
             {"on", 1}, {"mode", 3}, {"flags", 0x16}, {"wide", int64_t{1} << 40}, {"small", -7},
             {"port", 80}, {"limit", 5}}) {
      Set(name, value);
    }
  }
  static std::string Constants(const std::vector<ConstantValue>& constants) {
    std::string text;
    for (const ConstantValue& constant : constants) {
      text += (text.empty() ? "" : ", ") + constant.name + " = " + constant.value;
    }
    return text;
  }
  // Unless there is more that decides than is told.
  static bool Names(const Explanation& explanation, uint32_t constant) {
    return !explanation.complete ||
           std::any_of(explanation.deciding.begin(), explanation.deciding.end(),
                       [&](const Deciding& deciding) {
                         return std::any_of(deciding.constants.begin(), deciding.constants.end(),
                                            [&](const ConstantValue& value) {
                                              return value.constant == constant;
                                            });
                       });
  }
  std::vector<std::string> Cuts(Thing thing) const {
    std::vector<std::string> cuts;
    for (const Deciding& deciding : Of(thing).deciding) {
      cuts.push_back(Constants(deciding.constants));
    }
    return cuts;
  }
};

TEST_P(UsesExplained, DeadMapNamesConstantValueAndLine) {
  Run();
  const Explanation plain = Of(Map("m_plain"));
  ASSERT_THAT(plain.deciding, SizeIs(1));
  const Deciding& deciding = plain.deciding[0];
  EXPECT_EQ(Constants(deciding.constants), "on = false");
  EXPECT_THAT(deciding.place.file, HasSubstr("uses.bpf.c"));
  EXPECT_THAT(deciding.place.text, HasSubstr("if (on)"));
  EXPECT_EQ(object_.functions[deciding.place.function].name, "plain");
  EXPECT_TRUE(deciding.direct);
  EXPECT_TRUE(plain.complete);
  EXPECT_TRUE(plain.referred);
  EXPECT_THAT(Reason(object_, plain),
              MatchesRegex("on = false at uses.bpf.c:[0-9]+ `if \\(on\\)`"));
  EXPECT_THAT(Cuts(Map("m_negative")), ElementsAre("small = 0"));
  EXPECT_THAT(Cuts(Map("m_in_array")), ElementsAre(MatchesRegex("table = hex:0{32}")));
}

// A tail call in a branch, and one that another constant sends elsewhere: either way would do.
TEST_P(UsesExplained, DeadMapNamesAllThatTogetherCutIt) {
  Run();
  EXPECT_THAT(Cuts(Map("m_tail_two")), ElementsAre("on = false", "limit = 0"));
  for (const char* name : {"on", "limit"}) {
    constants::ConstantSet changed = constants_;
    SetIn(changed, name, name[0] == 'o' ? 1 : 2);
    EXPECT_TRUE(IsLive(LivenessOf(changed), Map("m_tail_two")));
  }
}

TEST_P(UsesExplained, ArgumentIsFollowedToTheCallsThatAreCut) {
  Run();
  const Explanation explanation = Of(Map("m_argument"));
  EXPECT_THAT(Cuts(Map("m_argument")), Contains("on = false"));
  EXPECT_THAT(Reason(object_, explanation), HasSubstr("on = false at uses.bpf.c:"));
}

TEST_P(UsesExplained, DeadFunctionAndProgramNameTheCallThatIsCut) {
  Run();
  EXPECT_THAT(Cuts(Function("not_called")), ElementsAre("mode = 0"));
  EXPECT_THAT(Cuts(Function("callback")), ElementsAre("on = false"));
  EXPECT_THAT(Cuts(Program("tail_two")), ElementsAre("on = false", "limit = 0"));
  const std::vector<Deciding> five = Of(Program("tail_five")).deciding;
  ASSERT_THAT(five, SizeIs(1));
  EXPECT_EQ(five[0].kind, Deciding::Kind::kTailCall);
  EXPECT_EQ(Constants(five[0].constants), "limit = 0");
  Explain(object_, constants_, liveness_);
  ASSERT_EQ(liveness_.function_reasons.size(), object_.functions.size());
  EXPECT_THAT(liveness_.function_reasons[Function("not_called").index],
              HasSubstr("mode = 0 at uses.bpf.c:"));
  EXPECT_EQ(liveness_.function_reasons[Function("plain").index], "");
}

TEST_P(UsesExplained, WitnessTellsEntryBranchAndReference) {
  TurnOn();
  Run();
  const Explanation plain = Of(Map("m_plain"));
  ASSERT_THAT(plain.witness, SizeIs(3));
  EXPECT_EQ(plain.witness[0].name, "plain");
  EXPECT_EQ(plain.witness[1].kind, Step::Kind::kBranch);
  EXPECT_EQ(Constants(plain.witness[1].constants), "on = true");
  EXPECT_TRUE(plain.witness[1].needed);
  EXPECT_THAT(plain.witness[2].place.text, HasSubstr("USE(plain)"));
  EXPECT_THAT(WhyLive(object_, plain),
              MatchesRegex("plain, on = true at uses.bpf.c:[0-9]+ `if \\(on\\)`, "
                           "m_plain at uses.bpf.c:[0-9]+ `USE\\(plain\\);`"));
}

TEST_P(UsesExplained, WitnessPassesCallsCallbacksAndTailCalls) {
  TurnOn();
  Run();
  const auto kinds = [&](Thing thing) {
    std::vector<std::pair<Step::Kind, std::string>> steps;
    for (const Step& step : Of(thing).witness) {
      if (step.kind != Step::Kind::kBranch) steps.emplace_back(step.kind, step.name);
    }
    return steps;
  };
  using K = Step::Kind;
  EXPECT_THAT(kinds(Map("m_called")),
              ElementsAre(std::pair(K::kEntry, "called"), std::pair(K::kCall, "not_called"),
                          std::pair(K::kReference, "m_called")));
  EXPECT_THAT(kinds(Map("m_in_callback")),
              ElementsAre(std::pair(K::kEntry, "in_callback"), std::pair(K::kCallback, "callback"),
                          std::pair(K::kReference, "m_in_callback")));
  EXPECT_THAT(kinds(Map("m_tail_two")),
              ElementsAre(std::pair(K::kEntry, "jumper"), std::pair(K::kTailCall, "tail_two"),
                          std::pair(K::kReference, "m_tail_two")));
  EXPECT_EQ(Of(Program("tail_five")).witness.back().tail.slot, 5u);
  EXPECT_THAT(kinds(Function("not_called")),
              ElementsAre(std::pair(K::kEntry, "called"), std::pair(K::kCall, "not_called")));
}

TEST_P(UsesExplained, WitnessStartsWhereAnalysisDid) {
  Set("limit", 5);
  Run({"tail_two", "jumper"});
  EXPECT_EQ(Of(Program("tail_two")).witness.front().name, "tail_two");
  EXPECT_EQ(Of(Program("tail_five")).witness.front().name, "jumper");
  EXPECT_THAT(Of(Program("plain")).deciding, IsEmpty());
}

TEST_P(UsesExplained, LongWitnessIsCutInTheMiddle) {
  TurnOn();
  Run();
  const Explanation explanation = Of(Map("m_tail_two"));
  ASSERT_THAT(explanation.witness, SizeIs(4));
  EXPECT_THAT(WhyLive(object_, explanation, 2),
              MatchesRegex("jumper, m_tail_two at .*USE\\(tail_two\\);` \\(2 more\\)"));
}

TEST_P(UsesExplained, SingleChangesBringAndCut) {
  Run();
  const auto alternatives = Alternatives(object_, constants_);
  ASSERT_TRUE(alternatives.ok());
  const auto brings = [&](const std::string& map) {
    std::vector<std::string> texts;
    for (const Change& change : Bringing(*alternatives, Map(map))) {
      texts.push_back(change.name + "=" + change.to);
    }
    return texts;
  };
  EXPECT_THAT(brings("m_plain"), ElementsAre("on=true"));
  EXPECT_THAT(brings("m_equal"), ElementsAre("mode=3"));
  EXPECT_THAT(brings("m_mask"), Contains("flags=16"));
  EXPECT_THAT(brings("m_less"), ElementsAre("limit=5"));
  EXPECT_THAT(brings("m_swapped"), ElementsAre("port=80"));
  EXPECT_THAT(brings("m_big"), ElementsAre("wide=1099511627776"));
  EXPECT_THAT(brings("m_negative"), Contains("small=-128"));
  EXPECT_THAT(brings("m_either"), ElementsAre("on=true", "mode=3"));
  EXPECT_THAT(brings("m_spilled"), IsEmpty());
  EXPECT_THAT(alternatives->no_numbers, SizeIs(2));
  TurnOn();
  Run();
  const auto cuts = Alternatives(object_, constants_);
  ASSERT_TRUE(cuts.ok());
  EXPECT_THAT(Cutting(*cuts, Map("m_plain")), ElementsAre(Field(&Change::to, "false")));
  EXPECT_THAT(Cutting(*cuts, Map("m_either")), IsEmpty());
  EXPECT_THAT(Cutting(*cuts, Map("m_spilled")), Contains(Field(&Change::name, "on")));
  EXPECT_THAT(Cutting(*cuts, Map("m_spilled")), Contains(Field(&Change::name, "mode")));
}

// Whatever brings a thing by itself is named by what keeps it dead.
TEST_P(UsesExplained, DecidingPlacesNameAllConstantsThatBring) {
  std::mt19937 random(5);
  for (int round = 0; round < 10; ++round) {
    Run();
    const auto alternatives = Alternatives(object_, constants_);
    ASSERT_TRUE(alternatives.ok());
    for (const Outcomes& outcomes : alternatives->changes) {
      for (const Thing thing : outcomes.come) {
        EXPECT_TRUE(Names(Of(thing), outcomes.change.constant))
            << outcomes.change.name << " brings " << NameOf(object_, thing);
      }
    }
    Shuffle(random);
  }
}

TEST_P(UsesExplained, CombinationIsFoundWhereNoSingleChangeBrings) {
  Run();
  const auto found = Bring(object_, constants_, Map("m_spilled"));
  ASSERT_TRUE(found.ok() && found->found);
  std::set<std::string> texts;
  for (const Change& change : found->changes) texts.insert(change.name + "=" + change.to);
  EXPECT_THAT(texts, ElementsAre("mode=3", "on=true"));
  const auto single = Bring(object_, constants_, Map("m_less"));
  ASSERT_TRUE(single.ok() && single->found);
  EXPECT_THAT(single->changes, ElementsAre(Field(&Change::to, "5")));
  EXPECT_GT(single->analyses, 1u);
  const auto never = Bring(object_, constants_, Map("m_in_struct"));
  ASSERT_TRUE(never.ok());
  EXPECT_FALSE(never->found);
  EXPECT_THAT(never->changes, IsEmpty());
}

TEST_P(UsesExplained, UnreadConstantsAreNotTried) {
  Run({"plain"});
  const auto alternatives = Alternatives(object_, constants_, {"plain"});
  ASSERT_TRUE(alternatives.ok());
  EXPECT_THAT(alternatives->changes, SizeIs(1));
  EXPECT_EQ(alternatives->changes[0].change.name, "on");
  EXPECT_EQ(alternatives->analyses, 2u);
  EXPECT_EQ(alternatives->unread.size(), object_.constants.size() - 1);
}

class AnyObjectExplained : public Explained {};

TEST_P(AnyObjectExplained, EverythingIsExplainedForAnySettings) {
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    Run();
    CheckAll();
    Shuffle(random);
  }
}

// Each change that is said to cut or bring does, alone.
TEST_P(AnyObjectExplained, ChangesDoWhatIsSaid) {
  std::mt19937 random(11);
  for (int round = 0; round < 3; ++round) {
    Run();
    const auto alternatives = Alternatives(object_, constants_);
    ASSERT_TRUE(alternatives.ok());
    EXPECT_EQ(alternatives->analyses, alternatives->changes.size() + 1);
    for (const Outcomes& outcomes : alternatives->changes) {
      constants::ConstantSet changed = constants_;
      SetIn(changed, outcomes.change.name, outcomes.change.value);
      EXPECT_EQ(ValueIn(changed, outcomes.change.name), outcomes.change.to);
      EXPECT_EQ(ValueIn(constants_, outcomes.change.name), outcomes.change.from);
      const Liveness then = LivenessOf(changed);
      for (const Thing thing : Things()) {
        const bool before = IsLive(liveness_, thing), after = IsLive(then, thing);
        const auto& gone = outcomes.gone;
        const auto& come = outcomes.come;
        EXPECT_EQ(before && !after, std::find(gone.begin(), gone.end(), thing) != gone.end());
        EXPECT_EQ(!before && after, std::find(come.begin(), come.end(), thing) != come.end());
      }
    }
    Shuffle(random);
  }
}

TEST_P(AnyObjectExplained, UnreadConstantsChangeNothing) {
  Run();
  const auto alternatives = Alternatives(object_, constants_);
  ASSERT_TRUE(alternatives.ok());
  for (const uint32_t constant : alternatives->unread) {
    if (!object_.constants[constant].is_bool) continue;
    for (const bool value : {false, true}) {
      constants::ConstantSet changed = constants_;
      SetIn(changed, object_.constants[constant].name, value);
      EXPECT_EQ(LivenessOf(changed).live_insns, liveness_.live_insns);
    }
  }
}

// And what one change brings is found.
TEST_P(AnyObjectExplained, CombinationsBringWhatTheySay) {
  for (const object::Constant& constant : object_.constants) {
    if (constant.is_bool) Set(constant.name, 0);
  }
  Run();
  const auto alternatives = Alternatives(object_, constants_);
  ASSERT_TRUE(alternatives.ok());
  for (const Thing thing : Things()) {
    if (IsLive(liveness_, thing)) continue;
    const auto found = Bring(object_, constants_, thing);
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(found->found || Bringing(*alternatives, thing).empty()) << NameOf(object_, thing);
    EXPECT_EQ(found->changes.empty(), !found->found);
    if (!found->found) continue;
    constants::ConstantSet changed = constants_;
    for (const Change& change : found->changes) SetIn(changed, change.name, change.value);
    EXPECT_TRUE(IsLive(LivenessOf(changed), thing)) << NameOf(object_, thing);
  }
}

std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(info.param.rfind('/') + 1);
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
}
INSTANTIATE_TEST_SUITE_P(Objects, UsesExplained, ::testing::ValuesIn(Objects()), TestName);
INSTANTIATE_TEST_SUITE_P(Objects, AnyObjectExplained, ::testing::ValuesIn(AllObjects()), TestName);

}  // namespace
}  // namespace bonsai::reachability
