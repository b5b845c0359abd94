// SPDX-License-Identifier: Apache-2.0
// Global functions that only dead code calls, and the retry ladder, on the kernel. Kernels from 6.8 on
// drop such functions themselves; what older ones make of them is for tests/kernels to see.
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>

#include "agent/base/status.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = load::Retry::Kind;

plan::LoadPlan PlanWith(const std::map<std::string, int64_t>& constants) {
  return PlanOf({{.file = "neutralise", .constants = constants, .analyzed = true}});
}

std::vector<std::string> Neutralised(const plan::LoadPlan& plan) {
  std::vector<std::string> names;
  for (const plan::NeutralisedFunction& function : plan.objects[0].neutralised) {
    names.push_back(function.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Functions the kernel has of a program: itself and those it carries.
uint32_t FunctionCount(const load::Loaded& loaded, const std::string& program) {
  bpf_prog_info info = {};
  uint32_t length = sizeof(info);
  EXPECT_EQ(bpf_obj_get_info_by_fd(loaded.ProgramFd("from_pod", program), &info, &length), 0);
  return info.nr_func_info;
}

absl::StatusOr<kernel::RunResult> RunOnce(const load::Loaded& loaded) {
  const std::vector<uint8_t> packet(64);
  return kernel::RunProgram(loaded.ProgramFd("from_pod", "entry"), packet, {});
}

TEST(Neutralise, LeavesOutTheFunctionsThatOnlyDeadCodeCalls) {
  REQUIRE_ROOT();
  const plan::LoadPlan plan = PlanWith({});
  ASSERT_THAT(Neutralised(plan), ElementsAre("broken", "extra"));
  for (const plan::NeutralisedFunction& function : plan.objects[0].neutralised) {
    EXPECT_TRUE(function.everywhere) << function.name;
    EXPECT_THAT(function.reason,
                HasSubstr(function.name == "extra" ? "use_extra = false at neutralise.bpf.c:"
                                                   : "use_broken = false at neutralise.bpf.c:"));
  }
  EXPECT_FALSE(plan.FindMap("big")->create);
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  EXPECT_TRUE(loaded->retries().empty()) << load::ToString(loaded->retries()[0]);
  EXPECT_EQ(FunctionCount(*loaded, "entry"), 3u) << "entry, between, always";
  ASSERT_OK(RunOnce(*loaded));
  EXPECT_EQ(Counter(*loaded, 0), 1u);
  EXPECT_EQ(Counter(*loaded, 1), 0u);
  EXPECT_EQ(Counter(*loaded, 2), 1u);
}

TEST(Neutralise, LeavesInTheFunctionsThatAreCalled) {
  REQUIRE_ROOT();
  const plan::LoadPlan plan = PlanWith({{"use_extra", 1}});
  ASSERT_THAT(Neutralised(plan), ElementsAre("broken"));
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  EXPECT_TRUE(loaded->retries().empty());
  EXPECT_EQ(FunctionCount(*loaded, "entry"), 4u) << "entry, between, always, extra";
  ASSERT_OK(RunOnce(*loaded));
  EXPECT_EQ(Counter(*loaded, 1), 2u) << "by the entry and by the function between";
}

TEST(Neutralise, CutsOneDeadCallAndKeepsTheLiveOne) {
  REQUIRE_ROOT();
  const plan::LoadPlan plan = PlanWith({{"use_extra", 1}, {"call_extra", 0}});
  ASSERT_THAT(Neutralised(plan), ElementsAre("broken", "extra"));
  for (const plan::NeutralisedFunction& function : plan.objects[0].neutralised) {
    EXPECT_EQ(function.everywhere, function.name == "broken");
  }
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  EXPECT_TRUE(loaded->retries().empty());
  EXPECT_EQ(FunctionCount(*loaded, "entry"), 4u);
  ASSERT_OK(RunOnce(*loaded));
  EXPECT_EQ(Counter(*loaded, 1), 1u) << "by the entry alone";
}

TEST(Ladder, BringsBackAFunctionThatIsCalledAndWhatItNeeds) {
  REQUIRE_ROOT();
  // Wrong on purpose: planned with use_extra off, loaded with use_extra on.
  plan::LoadPlan plan = PlanWith({});
  plan.objects[0].sections = PlanWith({{"use_extra", 1}}).objects[0].sections;
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  ASSERT_EQ(loaded->retries().size(), 2u);
  EXPECT_EQ(loaded->retries()[0].kind, Kind::kFunction);
  EXPECT_EQ(loaded->retries()[0].name, "extra");
  EXPECT_THAT(loaded->retries()[0].detail, HasSubstr("invalid func"));
  EXPECT_EQ(loaded->retries()[1].kind, Kind::kMap);
  EXPECT_EQ(loaded->retries()[1].name, "big");
  ASSERT_NE(loaded->FindMap("big"), nullptr);
  ASSERT_OK(RunOnce(*loaded));
  EXPECT_EQ(Counter(*loaded, 1), 2u) << "every call of it is back";
  EXPECT_EQ(FunctionCount(*loaded, "entry"), 4u) << "broken stays out";
  const plan::LoadPlan done = load::CarriedOut(plan, loaded->retries());
  EXPECT_THAT(Neutralised(done), ElementsAre("broken"));
  EXPECT_TRUE(done.FindMap("big")->create);
  EXPECT_THAT(done.FindMap("big")->reason, HasSubstr("the verifier walked into it in from_pod"));
}

TEST(Ladder, KeepsEverythingAfterItsLastStep) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = PlanOf({{.file = "many"}});
  for (const plan::MapPlan& map : plan.maps) plan.objects[0].skip_maps.push_back(map.name);
  ASSERT_EQ(plan.maps.size(), 12u);
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  ASSERT_EQ(loaded->retries().size(), load::Ladder::kSingleSteps + 1u);
  EXPECT_EQ(loaded->retries().back().kind, Kind::kEverything);
  EXPECT_EQ(loaded->maps().size(), 12u);
  EXPECT_EQ(loaded->programs().at("from_pod/entry").info.map_ids.size(), 12u);
}

TEST(Ladder, DoesNotClimbForAnotherFault) {
  REQUIRE_ROOT();
  // use_broken on: nothing that was cut is in the way, the function itself is.
  plan::LoadPlan plan = PlanWith({{"use_broken", 1}});
  EXPECT_THAT(Neutralised(plan), ElementsAre("extra"));
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_TRUE(absl::IsFailedPrecondition(loaded.status())) << loaded.status();
  EXPECT_THAT(base::Message(loaded.status()), HasSubstr("invalid mem access"));
}

TEST(Ladder, TellsHowFarItWentWhenItWasInVain) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = PlanWith({});
  plan.objects[0].sections = PlanWith({{"use_extra", 1}, {"use_broken", 1}}).objects[0].sections;
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_TRUE(absl::IsFailedPrecondition(loaded.status())) << base::Message(loaded.status());
  // extra and its map came back, then broken, which no verifier accepts.
  EXPECT_THAT(base::Message(loaded.status()), HasSubstr("after 3 retries: loading object from_pod"));
  EXPECT_THAT(base::Message(loaded.status()), HasSubstr("invalid mem access"));
}

}  // namespace
}  // namespace bonsai::testing
