// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/plan/shipped.h"

namespace bonsai::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PlanChangeTest : public ::testing::Test {
 protected:
  Change To(const settings::RawSettings& wanted, const Before& before) const {
    auto change = PlanChange(inputs_, before, wanted, nullptr);
    EXPECT_TRUE(change.ok()) << change.status();
    return change.ok() ? *change : Change();
  }
  Change To(const settings::RawSettings& wanted) const { return To(wanted, now_.before()); }

  static const MapChange* Find(const Change& change, const std::string& map) {
    const auto at = std::find_if(change.maps.begin(), change.maps.end(),
                                 [&](const MapChange& m) { return m.name == map; });
    return at != change.maps.end() ? &*at : nullptr;
  }

  Inputs inputs_ = ShippedInputs();
  InForce now_{inputs_, {{"ct-entries", "4096"}}};
};

TEST_F(PlanChangeTest, NothingChangesWhenTheConfigurationIsTheSame) {
  const Change change = To({{"ct-entries", "4096"}});
  EXPECT_TRUE(change.planned);
  EXPECT_THAT(change.refusals, IsEmpty());
  EXPECT_THAT(change.settings, IsEmpty());
  EXPECT_THAT(change.maps, IsEmpty());
  EXPECT_THAT(change.programs, IsEmpty());
  EXPECT_EQ(change.reload_class, ReloadClass::kLive);
  EXPECT_EQ(change.before.map_bytes, change.after.map_bytes);
}

TEST_F(PlanChangeTest, BringsTheMapsAndProgramsOfAFeature) {
  const Change change = To({{"ct-entries", "4096"}, {"enable-policy", "true"}});
  EXPECT_EQ(change.reload_class, ReloadClass::kReload);
  ASSERT_EQ(change.settings.size(), 1u);
  EXPECT_EQ(change.settings[0].before + "," + change.settings[0].after, "false,true");
  std::vector<std::string> added;
  uint64_t bytes = 0;
  for (const MapChange& map : change.maps) {
    EXPECT_EQ(map.kind, ChangeKind::kAdded) << map.name;
    EXPECT_THAT(map.reason, HasSubstr("used by")) << map.name;
    added.push_back(map.name);
    bytes += map.bytes_after;
  }
  EXPECT_THAT(added, ElementsAre("endpoints", "ipcache4", "ipcache6", "policy", "policy_epoch"));
  EXPECT_EQ(change.after.map_bytes, change.before.map_bytes + bytes);
  EXPECT_EQ(change.after.maps, change.before.maps + 5);
  EXPECT_THAT(change.programs, Contains(Field(&ProgramChange::name, "fp_policy4")));
}

int64_t SumOfLines(const Change& change) {
  int64_t sum = 0;
  for (const ProgramChange& program : change.programs) {
    sum += int64_t{program.insns_after} - int64_t{program.insns_before};
  }
  return sum;
}

int64_t OfTotals(const Change& change) {
  return static_cast<int64_t>(change.after.live_insns) -
         static_cast<int64_t>(change.before.live_insns);
}

TEST_F(PlanChangeTest, LinesOfTheProgramsHoldAllThatTheyCall) {
  // What the programs of life call they hardly share: the lines are the total, or a little more.
  const Change life = To({{"ct-entries", "4096"}, {"enable-game-of-life", "true"}});
  EXPECT_THAT(life.programs, Contains(Field(&ProgramChange::name, "life_start")));
  EXPECT_GT(OfTotals(life), 500);
  EXPECT_GE(SumOfLines(life), OfTotals(life));
  EXPECT_LE(SumOfLines(life), OfTotals(life) * 5 / 4);
  const InForce on(inputs_, {{"ct-entries", "4096"}, {"enable-game-of-life", "true"}});
  const Change off = To({{"ct-entries", "4096"}}, on.before());
  EXPECT_EQ(SumOfLines(off), -SumOfLines(life));
  EXPECT_EQ(OfTotals(off), -OfTotals(life));
}

// A function that several programs have is counted in each, once in the object.
TEST_F(PlanChangeTest, NoInstructionIsInAnObjectAndInNoneOfItsPrograms) {
  const InForce all(inputs_, {{"enable-game-of-life", "true"}, {"enable-policy", "true"},
                              {"enable-http-visibility", "true"}});
  for (const char* name : {"life", "from_pod"}) {
    const auto object = std::find_if(all.plan.objects.begin(), all.plan.objects.end(),
                                     [&](const ObjectPlan& o) { return o.name == name; });
    ASSERT_NE(object, all.plan.objects.end()) << name;
    ASSERT_TRUE(object->needed) << name;
    uint64_t slots = 0, live = 0;
    for (const ProgramPlan& program : all.plan.programs) {
      if (program.object != name) continue;
      EXPECT_LE(program.live_slots, program.slots) << program.name;
      EXPECT_LE(program.live_slots, object->live_insns) << program.name;
      EXPECT_LE(program.slots, object->total_insns) << program.name;
      slots += program.slots;
      live += program.live_slots;
    }
    EXPECT_GE(live, object->live_insns) << name;
    EXPECT_GE(slots, object->total_insns) << name;
  }
}

TEST_F(PlanChangeTest, SaysWhyAMapGoes) {
  const Change change = To({{"ct-entries", "4096"}, {"enable-datapath-metrics", "false"}});
  const MapChange* metrics = Find(change, "metrics");
  ASSERT_NE(metrics, nullptr);
  EXPECT_EQ(metrics->kind, ChangeKind::kRemoved);
  EXPECT_GT(metrics->bytes_before, 0u);
  EXPECT_EQ(metrics->bytes_after, 0u);
  EXPECT_THAT(metrics->reason, HasSubstr("enable_datapath_metrics = false"));
}

TEST_F(PlanChangeTest, EachSettingHasTheClassThatItAsksFor) {
  const Change change = To({{"ct-entries", "8192"}, {"policy-entries", "300"},
                            {"ct-tcp-timeout", "100"}, {"log-level", "debug"}});
  EXPECT_EQ(change.reload_class, ReloadClass::kMigrate);
  std::map<std::string, ReloadClass> classes;
  for (const SettingChange& setting : change.settings) classes[setting.key] = setting.reload_class;
  EXPECT_EQ(classes, (std::map<std::string, ReloadClass>{
                         {"ct-entries", ReloadClass::kMigrate},
                         {"policy-entries", ReloadClass::kLive},  // its map does not exist
                         {"ct-tcp-timeout", ReloadClass::kReload},
                         {"log-level", ReloadClass::kLive}}));
}

TEST_F(PlanChangeTest, RefusesAllThatIsWrongWithTheSettings) {
  const Change change = To({{"enable-polcy", "true"}, {"ct-tcp-timeout", "5"},
                            {"enable-policy", "true"}, {"enable-conntrack", "false"},
                            {std::string("bad\nkey\xff"), "1"}});
  EXPECT_FALSE(change.planned);
  std::map<std::string, Refusal> by_key;
  for (const Refusal& refusal : change.refusals) {
    EXPECT_EQ(refusal.reason, RefusalReason::kSettings);
    EXPECT_EQ(refusal.message.find('\n'), std::string::npos);
    by_key[refusal.key] = refusal;
  }
  ASSERT_EQ(by_key.size(), 4u);
  EXPECT_EQ(by_key["enable-polcy"].nearest, "enable-policy");
  EXPECT_THAT(by_key["ct-tcp-timeout"].message, HasSubstr("10..604800"));
  EXPECT_THAT(by_key["enable-policy"].message, HasSubstr("needs enable-conntrack, which is off"));
  EXPECT_EQ(by_key["enable-policy"].nearest, "");
}

TEST_F(PlanChangeTest, RefusesToShrinkBelowWhatIsInUseWithTheNumbers) {
  Before before = now_.before();
  before.maps["ct4"] = {.bytes = 700000, .entries = 3000};
  const Change refused = To({{"ct-entries", "2048"}}, before);
  ASSERT_EQ(refused.refusals.size(), 1u);
  EXPECT_EQ(refused.refusals[0].reason, RefusalReason::kInUse);
  EXPECT_THAT(refused.refusals[0].message, HasSubstr("ct-entries = 2048"));
  EXPECT_THAT(refused.refusals[0].message, HasSubstr("3000"));
  EXPECT_TRUE(refused.planned);
  before.maps["ct4"].entries = 100;
  EXPECT_THAT(To({{"ct-entries", "2048"}}, before).refusals, IsEmpty());
}

TEST_F(PlanChangeTest, RefusesAMapTypeThatTheKernelLacks) {
  inputs_.missing_map_types = {"ringbuf"};
  EXPECT_THAT(To({{"ct-entries", "4096"}}).refusals, IsEmpty());
  const Change change = To({{"ct-entries", "4096"}, {"enable-flow-events", "true"}});
  ASSERT_EQ(change.refusals.size(), 1u);
  EXPECT_EQ(change.refusals[0].reason, RefusalReason::kKernel);
  EXPECT_THAT(change.refusals[0].message, HasSubstr("map events of feature flow-events"));
}

TEST_F(PlanChangeTest, HoldsMeasuredBytesAgainstWhatStaysAndGoes) {
  const InForce policy(inputs_, {{"ct-entries", "4096"}, {"enable-policy", "true"}});
  Before before = policy.before();
  before.maps["policy"] = {.bytes = 44000, .entries = 1000};  // a trie, by what it holds
  const Change same = To({{"ct-entries", "4096"}, {"enable-policy", "true"}}, before);
  EXPECT_EQ(same.before.map_bytes, TotalsOf(policy.plan, {}).map_bytes + 44000);
  EXPECT_EQ(same.after.map_bytes, same.before.map_bytes);
  const Change gone = To({{"ct-entries", "4096"}}, before);
  EXPECT_EQ(Find(gone, "policy")->bytes_before, 44000u);
  // Made anew at another size, it takes its entries along.
  const Change resized =
      To({{"ct-entries", "4096"}, {"enable-policy", "true"}, {"policy-entries", "2000"}}, before);
  const MapPlan* trie = policy.plan.FindMap("policy");
  EXPECT_EQ(Find(resized, "policy")->bytes_after,
            MapBytes(trie->type, trie->key_size, trie->value_size, 2000, trie->map_flags,
                     inputs_.costs, 1000));
}

TEST_F(PlanChangeTest, FromNothingEverythingComes) {
  const Change change = To({{"ct-entries", "4096"}}, Before());
  EXPECT_EQ(change.before.maps, 0u);
  EXPECT_EQ(change.maps.size(), change.after.maps);
  EXPECT_EQ(change.after.map_bytes, TotalsOf(now_.plan, {}).map_bytes);
  ASSERT_EQ(change.settings.size(), 1u);
  EXPECT_EQ(change.settings[0].before, "131072") << "against the defaults";
}

TEST_F(PlanChangeTest, StopsBetweenTwoObjectsWhenNobodyWaits) {
  int asked = 0;
  const auto change = PlanChange(inputs_, now_.before(), {}, [&] { return ++asked == 2; });
  EXPECT_TRUE(absl::IsCancelled(change.status())) << change.status();
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace bonsai::plan
