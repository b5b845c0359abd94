// SPDX-License-Identifier: Apache-2.0
#include "agent/load/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"

namespace bonsai::load {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = Retry::Kind;

plan::ObjectPlan Object() {
  return {.name = "from_pod",
          .skip_maps = {"ct4", "ct6", ".rodata.other"},
          .neutralised = {{.name = "first"}, {.name = "second"}}};
}

absl::Status Refusal(const std::string& log) {
  absl::Status status = base::FailedPrecondition("refused");
  base::SetVerifierLog(status, log);
  return status;
}

absl::Status WantsMap(const std::string& map) {
  return Refusal("7: <invalid BPF map reference>\nBPF map '" + map +
                 "' is referenced but wasn't created\nprocessed 8 insns\n");
}

absl::Status CallsCut(int mark) {
  return Refusal("invalid func unknown#" + std::to_string(1'900'000'000 + mark) + "\n");
}

TEST(Ladder, BringsBackTheMapTheVerifierWants) {
  const plan::ObjectPlan object = Object();
  Ladder ladder(object);
  const auto retry = ladder.Climb(WantsMap("ct6"));
  ASSERT_TRUE(retry);
  EXPECT_EQ(retry->kind, Kind::kMap);
  EXPECT_EQ(retry->name, "ct6");
  EXPECT_EQ(ToString(*retry), "object from_pod: map ct6 was kept although nothing should reach it: "
                              "BPF map 'ct6' is referenced but wasn't created");
  EXPECT_THAT(ladder.skip_maps(), ElementsAre(".rodata.other", "ct4"));
  // libbpf names a section's map with the object's name before it.
  EXPECT_EQ(ladder.Climb(WantsMap("from_pod.rodata.other"))->name, ".rodata.other");
  EXPECT_THAT(ladder.skip_maps(), ElementsAre("ct4"));
}

TEST(Ladder, BringsBackTheFunctionTheVerifierWalkedInto) {
  const plan::ObjectPlan object = Object();
  Ladder ladder(object);
  const auto retry = ladder.Climb(CallsCut(1));
  ASSERT_TRUE(retry);
  EXPECT_EQ(retry->kind, Kind::kFunction);
  EXPECT_EQ(retry->name, "second");
  EXPECT_THAT(ladder.neutralised(), ElementsAre(0u));
  EXPECT_FALSE(ladder.Climb(CallsCut(1))) << "it is back already";
}

TEST(Ladder, EndsAtWhatIsNotCut) {
  const plan::ObjectPlan object = Object();
  Ladder ladder(object);
  EXPECT_FALSE(ladder.Climb(WantsMap("policy")));
  EXPECT_FALSE(ladder.Climb(CallsCut(2)));
  EXPECT_FALSE(ladder.Climb(Refusal("R0 invalid mem access 'scalar'\n")));
  EXPECT_FALSE(ladder.Climb(base::Internal("no verifier was asked")));
  EXPECT_EQ(ladder.skip_maps().size(), 3u);
}

TEST(Ladder, HasABoundedNumberOfSteps) {
  plan::ObjectPlan object{.name = "from_pod", .neutralised = {{.name = "function"}}};
  for (int i = 0; i < 100; ++i) object.skip_maps.push_back("m" + std::to_string(i));
  Ladder ladder(object);
  int steps = 0;
  std::optional<Retry> last;
  for (int i = 0; i < 100; ++i) {
    auto retry = ladder.Climb(WantsMap("m" + std::to_string(i)));
    if (!retry) break;
    last = retry;
    ++steps;
  }
  EXPECT_EQ(steps, Ladder::kSingleSteps + 1);
  EXPECT_EQ(last->kind, Kind::kEverything);
  EXPECT_THAT(ladder.skip_maps(), IsEmpty());
  EXPECT_THAT(ladder.neutralised(), IsEmpty());
}

plan::LoadPlan Plan() {
  plan::LoadPlan plan{.objects = {Object()}};
  plan.objects.push_back({.name = "to_pod", .skip_maps = {"ct4"}});
  for (const char* name : {"ct4", "ct6", "from_pod.rodata.other"}) {
    plan.maps.push_back({.name = name, .create = false, .reason = "off"});
  }
  return plan;
}

TEST(CarriedOut, SaysWhatCameBack) {
  const plan::LoadPlan plan = CarriedOut(
      Plan(), {{Kind::kMap, "from_pod", "ct4", ""}, {Kind::kFunction, "from_pod", "first", ""},
               {Kind::kMap, "from_pod", ".rodata.other", ""}});
  EXPECT_TRUE(plan.FindMap("ct4")->create);
  EXPECT_NE(plan.FindMap("ct4")->reason, "off");
  EXPECT_TRUE(plan.FindMap("from_pod.rodata.other")->create);
  EXPECT_FALSE(plan.FindMap("ct6")->create);
  EXPECT_THAT(plan.objects[0].skip_maps, ElementsAre("ct6"));
  EXPECT_THAT(plan.objects[1].skip_maps, ElementsAre("ct4"));
  ASSERT_EQ(plan.objects[0].neutralised.size(), 1u);
  EXPECT_EQ(plan.objects[0].neutralised[0].name, "second");
}

TEST(CarriedOut, KeepsAllOfAnObjectAtTheLastStep) {
  const plan::LoadPlan plan = CarriedOut(Plan(), {{Kind::kEverything, "from_pod", "", ""}});
  for (const plan::MapPlan& map : plan.maps) EXPECT_TRUE(map.create) << map.name;
  EXPECT_THAT(plan.objects[0].skip_maps, IsEmpty());
  EXPECT_THAT(plan.objects[0].neutralised, IsEmpty());
  EXPECT_THAT(plan.objects[1].skip_maps, ElementsAre("ct4"));
}

}  // namespace
}  // namespace bonsai::load
