// SPDX-License-Identifier: Apache-2.0
// Explanations of the shipped objects, each held against the plan and the sources: what is said to
// bring or remove a thing does, and what is said to decide is in the source.
#include "agent/plan/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "agent/base/status.h"

namespace bonsai::plan {
namespace {

using reachability::Deciding;
using reachability::Place;
using reachability::Step;
using settings::RawSettings;
using ::testing::HasSubstr;

// Configurations under which every map is there once and is absent once.
const std::map<std::string, RawSettings> kConfigurations = {
    {"defaults", {}},
    {"least",
     {{"enable-ipv6", "false"}, {"enable-conntrack", "false"}, {"enable-datapath-metrics", "false"}}},
    {"only_ipv6", {{"enable-ipv4", "no"}, {"enable-policy", "true"}}},
    {"everything",
     {{"enable-prefilter", "true"}, {"enable-policy", "true"}, {"enable-load-balancer", "true"},
      {"enable-flow-events", "true"}, {"enable-game-of-life", "true"}}},
};

constexpr uint32_t kNear = 6;  // lines that a statement may have

class ExplainShipped : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto inputs = ReadInputs(BONSAI_BPF_DIR);
    ASSERT_TRUE(inputs.ok()) << inputs.status();
    inputs_ = new Inputs(*std::move(inputs));
  }
  static void TearDownTestSuite() { delete inputs_; }

  static settings::Settings Parse(const RawSettings& raw) {
    auto settings = settings::Parse(*inputs_->schema, raw);
    EXPECT_TRUE(settings.ok()) << settings.status();
    return *std::move(settings);
  }
  // By plan::MakeFor, that is without anything of what is tested.
  static LoadPlan PlanFor(const RawSettings& raw) {
    auto plan = MakeFor(*inputs_, Parse(raw), Reasons::kNone, nullptr);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *std::move(plan);
  }
  static Answer Ask(const RawSettings& raw, Subject subject, const std::string& name) {
    auto answer = Explain(*inputs_, Parse(raw), subject, name, nullptr);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *std::move(answer) : Answer();
  }
  static bool Exists(const LoadPlan& plan, Subject subject, const std::string& name) {
    if (subject == Subject::kMap) return plan.FindMap(name)->create;
    for (const ProgramPlan& program : plan.programs) {
      if (program.name == name) return program.load;
    }
    ADD_FAILURE() << "no program " << name;
    return false;
  }
  static RawSettings Changed(RawSettings raw, const Effect& effect) {
    for (const KeyChange& change : effect.changes) raw[change.key] = change.to;
    return raw;
  }
  static int64_t MapBytesOf(const LoadPlan& plan) {
    int64_t bytes = 0;
    for (const MapPlan& map : plan.maps) bytes += map.create ? static_cast<int64_t>(map.bytes) : 0;
    return bytes;
  }
  static std::set<std::string> MapsOf(const LoadPlan& plan) {
    std::set<std::string> names;
    for (const MapPlan& map : plan.maps) {
      if (map.create) names.insert(map.name);
    }
    return names;
  }

  // What the effect says is what a plan for the changed settings has.
  static void CheckEffect(const RawSettings& raw, const LoadPlan& before, const Effect& effect) {
    const RawSettings changed = Changed(raw, effect);
    SCOPED_TRACE(::testing::PrintToString(changed));
    for (const KeyChange& change : effect.changes) {
      EXPECT_EQ(settings::Format(Parse(raw).values().at(change.key)), change.from);
    }
    const LoadPlan after = PlanFor(changed);
    EXPECT_EQ(effect.map_bytes, MapBytesOf(after) - MapBytesOf(before));
    std::set<std::string> expected = MapsOf(before);
    for (const std::string& name : effect.gone.maps) EXPECT_EQ(expected.erase(name), 1u) << name;
    for (const std::string& name : effect.come.maps) EXPECT_TRUE(expected.insert(name).second);
    EXPECT_EQ(expected, MapsOf(after));
  }

  // The line that a place names has this text, in the source of the tree.
  static std::vector<std::string> SourceOf(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  static void CheckPlace(const Place& place, const std::vector<reachability::ConstantValue>& near) {
    ASSERT_FALSE(place.file.empty());
    const std::string name = place.file.substr(place.file.rfind('/') + 1);
    std::vector<std::string> lines;
    for (const char* folder : {"/", "/lib/", "/include/"}) {
      if (lines.empty()) lines = SourceOf(std::string(BONSAI_SOURCE_DIR "/datapath") + folder + name);
    }
    if (name == "bpf_helpers.h") return;  // libbpf's: tail calls are inlined from there
    ASSERT_LE(place.line, lines.size()) << name;
    EXPECT_EQ(lines[place.line - 1], place.text) << name;
    if (name == "life_rule.h") return;  // gets what hangs on constants as arguments
    if (place.text.find("l7_is_possible(") != std::string::npos) return;  // asks them in l7.h
    for (const reachability::ConstantValue& constant : near) {
      bool found = false;
      const size_t first = place.line > kNear ? place.line - kNear : 1;
      for (size_t line = first; line <= std::min<size_t>(place.line + kNear, lines.size()); ++line) {
        found |= lines[line - 1].find(constant.name) != std::string::npos;
      }
      EXPECT_TRUE(found) << constant.name << " at " << name << ":" << place.line << " " << place.text;
    }
  }

  static void CheckObject(const ObjectAnswer& object, const RawSettings& raw, bool exists) {
    SCOPED_TRACE(object.object->name);
    const settings::Settings settings = Parse(raw);
    const auto check = [&](const Place& place, const auto& constants) {
      CheckPlace(place, constants);
      for (const reachability::ConstantValue& constant : constants) {
        const auto key = [&] {
          std::string text = constant.name;
          std::replace(text.begin(), text.end(), '_', '-');
          return text;
        }();
        if (!settings.values().contains(key)) continue;  // a fact of the node
        EXPECT_EQ(settings::Format(settings.values().at(key)), constant.value) << key;
      }
    };
    if (exists) {
      ASSERT_FALSE(object.why.witness.empty());
      EXPECT_EQ(object.why.witness.front().kind, Step::Kind::kEntry);
      for (const Step& step : object.why.witness) check(step.place, step.constants);
      return;
    }
    EXPECT_FALSE(object.why.deciding.empty());
    for (const Deciding& deciding : object.why.deciding) check(deciding.place, deciding.constants);
  }

  static bool IsDecidedBy(const ThingAnswer& thing, const std::string& constant) {
    for (const ObjectAnswer& object : thing.objects) {
      for (const Deciding& deciding : object.why.deciding) {
        for (const reachability::ConstantValue& value : deciding.constants) {
          if (value.name == constant) return true;
        }
      }
    }
    return false;
  }

  static void CheckThing(const RawSettings& raw, Subject subject, const std::string& name) {
    SCOPED_TRACE(std::string(SubjectName(subject)) + " " + name);
    const LoadPlan before = PlanFor(raw);
    const Answer answer = Ask(raw, subject, name);
    ASSERT_TRUE(answer.thing.has_value());
    const ThingAnswer& thing = *answer.thing;
    EXPECT_EQ(thing.exists, Exists(before, subject, name));
    EXPECT_FALSE(thing.objects.empty());
    for (const ObjectAnswer& object : thing.objects) CheckObject(object, raw, thing.exists);
    std::vector<Effect> remedies = thing.alone;
    if (thing.together) {
      EXPECT_TRUE(thing.alone.empty());
      remedies.push_back(*thing.together);
    }
    for (const Effect& effect : remedies) {
      EXPECT_FALSE(effect.changes.empty());
      EXPECT_NE(Exists(PlanFor(Changed(raw, effect)), subject, name), thing.exists)
          << ::testing::PrintToString(Changed(raw, effect));
      CheckEffect(raw, before, effect);
    }
    // Everything of this datapath can be had by settings, but the tables that entries move from while
    // a size changes: the agent brings these.
    const bool agents = name == "ct4_old" || name == "ct6_old";
    EXPECT_EQ(!thing.exists && remedies.empty(), agents);
    const bool table = agents && Exists(before, subject, name.substr(0, 3));
    EXPECT_EQ(IsDecidedBy(thing, "ct_moving"), table);
    if (thing.together) CheckNothingIsLeftOver(raw, subject, name, *thing.together, thing.exists);
  }

  static void CheckNothingIsLeftOver(const RawSettings& raw, Subject subject,
                                     const std::string& name, const Effect& effect, bool exists) {
    for (size_t i = 0; i < effect.changes.size(); ++i) {
      RawSettings fewer = Changed(raw, effect);
      fewer[effect.changes[i].key] = effect.changes[i].from;
      const auto settings = settings::Parse(*inputs_->schema, fewer);
      if (!settings.ok()) continue;  // needed by another of them
      EXPECT_EQ(Exists(PlanFor(fewer), subject, name), exists)
          << effect.changes[i].key << " can be left out";
    }
  }

  static Inputs* inputs_;
};

Inputs* ExplainShipped::inputs_ = nullptr;

class EveryThing : public ExplainShipped,
                   public ::testing::WithParamInterface<std::string> {};

TEST_P(EveryThing, MapIsExplainedTruly) {
  const RawSettings& raw = kConfigurations.at(GetParam());
  for (const std::string& name : NamesOf(*inputs_, Subject::kMap)) {
    CheckThing(raw, Subject::kMap, name);
  }
}

TEST_P(EveryThing, ProgramIsExplainedTruly) {
  const RawSettings& raw = kConfigurations.at(GetParam());
  for (const std::string& name : NamesOf(*inputs_, Subject::kProgram)) {
    CheckThing(raw, Subject::kProgram, name);
  }
}

TEST_P(EveryThing, SettingSaysWhatItsOtherValuesDo) {
  const RawSettings& raw = kConfigurations.at(GetParam());
  const LoadPlan before = PlanFor(raw);
  for (const std::string& key : NamesOf(*inputs_, Subject::kSetting)) {
    SCOPED_TRACE(key);
    const Answer answer = Ask(raw, Subject::kSetting, key);
    ASSERT_TRUE(answer.setting.has_value());
    const SettingAnswer& setting = *answer.setting;
    EXPECT_EQ(setting.spec.key, key);
    EXPECT_EQ(setting.spec.target == settings::Target::kConstant, !setting.uses.empty());
    EXPECT_TRUE(setting.spec.kind != settings::Kind::kBool || setting.effects.size() == 1);
    // Maps whose size is a constant as well begin anew with it.
    const bool sizes = !setting.sizes.empty() && setting.spec.constant.empty();
    EXPECT_EQ(setting.reload_class == ReloadClass::kMigrate, sizes);
    for (const Effect& effect : setting.effects) CheckEffect(raw, before, effect);
    for (const SettingAnswer::Use& use : setting.uses) {
      for (const Place& place : use.reads) CheckPlace(place, {});
      for (const Deciding& branch : use.branches) {
        CheckPlace(branch.place, branch.constants);
        EXPECT_TRUE(std::any_of(branch.constants.begin(), branch.constants.end(), [&](const auto& c) {
          return c.name == setting.spec.constant && c.value == use.value;
        }));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Configuration, EveryThing,
                         ::testing::Values("defaults", "least", "only_ipv6", "everything"),
                         [](const auto& info) { return info.param; });

TEST_F(ExplainShipped, FunctionsAreThoseOfTheProgramsThatRunThem) {
  for (const auto& [name, raw] : kConfigurations) {
    SCOPED_TRACE(name);
    const LoadPlan plan = PlanFor(raw);
    for (const std::string& function : NamesOf(*inputs_, Subject::kFunction)) {
      const Answer answer = Ask(raw, Subject::kFunction, function);
      ASSERT_TRUE(answer.thing.has_value()) << function;
      // In this datapath all functions but the programs' own, the callbacks of life and those of HTTP's
      // stage are inlined.
      const bool of_life = function == "life_tick" || function.starts_with("life_from_");
      const std::string caller = of_life                                 ? "life_start"
                                 : function.starts_with("from_pod/http_") ? "fp_http"
                                 : function.starts_with("to_pod/http_")   ? "tp_http"
                                                                          : function;
      EXPECT_EQ(answer.thing->exists, Exists(plan, Subject::kProgram, caller)) << function;
      EXPECT_GT(answer.thing->instructions, 0u);
    }
  }
}

TEST_F(ExplainShipped, SaysWhatHasToComeTogether) {
  const RawSettings raw = {{"enable-ipv6", "false"}, {"enable-conntrack", "false"}};
  const Answer answer = Ask(raw, Subject::kMap, "ipcache6");
  ASSERT_TRUE(answer.thing.has_value());
  EXPECT_TRUE(answer.thing->alone.empty());
  ASSERT_TRUE(answer.thing->together.has_value());
  std::vector<std::string> keys;
  for (const KeyChange& change : answer.thing->together->changes) keys.push_back(change.key);
  // Policy needs conntrack, so it comes along.
  EXPECT_THAT(keys, ::testing::ElementsAre("enable-conntrack", "enable-ipv6", "enable-policy"));
}

TEST_F(ExplainShipped, TakesAlongWhatNeedsASettingThatIsSwitchedOff) {
  const RawSettings raw = {{"enable-policy", "true"}, {"policy-audit-mode", "true"}};
  const Answer answer = Ask(raw, Subject::kSetting, "enable-conntrack");
  ASSERT_EQ(answer.setting->effects.size(), 1u);
  std::vector<std::string> keys;
  for (const KeyChange& change : answer.setting->effects[0].changes) keys.push_back(change.key);
  EXPECT_THAT(keys, ::testing::ElementsAre("enable-conntrack", "enable-policy", "policy-audit-mode"));
  EXPECT_THAT(answer.setting->required_by,
              ::testing::ElementsAre("enable-load-balancer", "enable-policy"));
}

TEST_F(ExplainShipped, NamesTheNearestOfAnUnknownName) {
  const settings::Settings settings = Parse({});
  const auto message = [&](Subject subject, const std::string& name) {
    const auto answer = Explain(*inputs_, settings, subject, name, nullptr);
    EXPECT_TRUE(absl::IsNotFound(answer.status())) << name;
    return base::Message(answer.status());
  };
  EXPECT_THAT(message(Subject::kMap, "ct44"), HasSubstr("the nearest is ct4"));
  EXPECT_THAT(message(Subject::kProgram, "fp_polcy4"), HasSubstr("the nearest is fp_policy4"));
  EXPECT_THAT(message(Subject::kFunction, "fp_lb"), HasSubstr("the nearest is fp_lb4"));
  EXPECT_THAT(message(Subject::kSetting, "enable-polcy"), HasSubstr("the nearest is enable-policy"));
  // Whatever a caller sends: one printable line, at once.
  for (const std::string& name : {std::string(60000, 'x'), std::string("\x1b[2J\n\0\xff", 8),
                                  std::string("from_pod/"), std::string("/"), std::string("..")}) {
    for (const Subject subject :
         {Subject::kMap, Subject::kProgram, Subject::kFunction, Subject::kSetting}) {
      const std::string text = message(subject, name);
      EXPECT_LT(text.size(), 300u);
      EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }))
          << text;
    }
  }
}

TEST_F(ExplainShipped, FindsProgramsWithTheirObjectAndSettingsByTheirConstant) {
  EXPECT_EQ(Ask({}, Subject::kProgram, "from_pod/fp_lb4").name, "fp_lb4");
  EXPECT_EQ(Ask({}, Subject::kSetting, "enable_policy").name, "enable-policy");
}

TEST_F(ExplainShipped, EndsWhenNobodyWaitsForIt) {
  int asked = 0;
  const auto answer = Explain(*inputs_, Parse({}), Subject::kMap, "ct4",
                              [&] { return ++asked > 6; });
  EXPECT_TRUE(absl::IsCancelled(answer.status())) << answer.status();
  EXPECT_EQ(asked, 7) << "nothing is analysed after the end";
}

}  // namespace
}  // namespace bonsai::plan
