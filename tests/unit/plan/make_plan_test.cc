// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"
#include "agent/plan/load_plan.h"
#include "tests/unit/plan/sample.h"

namespace bonsai::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

settings::Settings Parse(const settings::RawSettings& raw = {}) {
  auto schema = settings::Schema::Make(
      {{.key = "ct-entries", .kind = settings::Kind::kUint, .default_value = uint64_t{1000},
        .min = 1, .max = int64_t{1} << 40},
       {.key = "name", .kind = settings::Kind::kString, .default_value = std::string("x")}});
  EXPECT_TRUE(schema.ok()) << schema.status();
  auto settings = settings::Parse(*schema, raw);
  EXPECT_TRUE(settings.ok()) << settings.status();
  return *settings;
}

absl::StatusOr<LoadPlan> Plan(const std::vector<const Sample*>& samples,
                              const settings::RawSettings& raw = {}) {
  std::vector<AnalyzedObject> objects;
  for (const Sample* sample : samples) {
    objects.push_back({&sample->spec, constants::Defaults(sample->spec), sample->liveness});
  }
  return Make(objects, Parse(raw), {});
}

// An entry program that does something: it drops.
Sample Dropper(const std::string& name) {
  return Sample(name, "tc", {MovImm(0, 2), Exit()});
}

TEST(Make, CreatesLiveMapsAndSaysWhoUsesThem) {
  Sample a = Dropper("a"), b = Dropper("b");
  a.AddMap(Hash("ct4", 10), {0});
  b.AddMap(Hash("ct4", 10), {0});
  b.AddMap(Hash("ct6", 10), {}, "enable_ipv6 = false at b.bpf.c:4");
  b.AddMap(Hash("idle", 10), {});
  auto plan = Plan({&a, &b});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->maps.size(), 3u);
  const MapPlan* ct4 = plan->FindMap("ct4");
  EXPECT_TRUE(ct4->create);
  EXPECT_EQ(ct4->reason, "used by a/a, b/b");
  EXPECT_GT(ct4->bytes, 0u);
  EXPECT_TRUE(ct4->shared());
  const MapPlan* ct6 = plan->FindMap("ct6");
  EXPECT_FALSE(ct6->create);
  EXPECT_EQ(ct6->reason, "enable_ipv6 = false at b.bpf.c:4");
  EXPECT_EQ(ct6->bytes, ct4->bytes) << "what it would take";
  EXPECT_EQ(plan->FindMap("idle")->reason, "nothing that is loaded refers to it");
  EXPECT_EQ(plan->FindMap("nosuch"), nullptr);
  EXPECT_THAT(plan->objects[1].skip_maps, ElementsAre("ct6", "idle"));
}

TEST(Make, SizesMapsBySetting) {
  Sample a = Dropper("a");
  a.AddMap(Hash("ct4", 10, "ct-entries"), {0});
  EXPECT_EQ(Plan({&a})->FindMap("ct4")->max_entries, 1000u);
  EXPECT_EQ(Plan({&a}, {{"ct-entries", "77"}})->FindMap("ct4")->max_entries, 77u);
  auto large = Plan({&a}, {{"ct-entries", "5000000000"}});
  EXPECT_TRUE(absl::IsInvalidArgument(large.status())) << large.status();
  EXPECT_THAT(base::Message(large.status()), HasSubstr("ct-entries"));
  for (const char* wrong : {"nosuch", "name"}) {
    Sample other = Dropper("a");
    other.AddMap(Hash("ct4", 10, wrong), {0});
    EXPECT_TRUE(absl::IsInternal(Plan({&other}).status()));
  }
}

TEST(Make, RefusesOneNameForTwoMaps) {
  Sample a = Dropper("a"), b = Dropper("b");
  a.AddMap(Hash("m", 10), {0});
  b.AddMap(Hash("m", 20), {0});
  auto plan = Plan({&a, &b});
  EXPECT_TRUE(absl::IsInvalidArgument(plan.status()));
  EXPECT_THAT(base::Message(plan.status()), HasSubstr("map m: objects a and b"));

  Sample c = Dropper("c"), d = Dropper("d");
  c.AddMap(TailArray("calls"), {0});
  d.AddMap(TailArray("calls"), {0});
  EXPECT_TRUE(absl::IsInvalidArgument(Plan({&c, &d}).status())) << "a tail-call array is private";
}

TEST(Make, LoadsLiveTailProgramsOnly) {
  Sample a = Dropper("a");
  a.AddMap(TailArray("calls"), {0});
  a.AddTail("tail_on", "calls", 3, true);
  a.AddTail("tail_off", "calls", 4, false, "enable_policy = false at a.bpf.c:9");
  a.AddTail("tail_lost", "calls", 5, false);
  auto plan = Plan({&a});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->FindMap("calls")->is_tail_array);
  EXPECT_FALSE(plan->FindMap("calls")->shared());
  EXPECT_THAT(plan->objects[0].skip_programs, ElementsAre("tail_off", "tail_lost"));
  const ProgramPlan* on = plan->FindProgram("a", "tail_on");
  ASSERT_NE(on, nullptr);
  EXPECT_TRUE(on->load);
  EXPECT_EQ(on->tail_map, "calls");
  EXPECT_EQ(on->tail_slot, 3u);
  EXPECT_EQ(on->reason, "tail call calls[3] is reachable");
  EXPECT_EQ(on->live_slots, 2u);
  const ProgramPlan* off = plan->FindProgram("a", "tail_off");
  EXPECT_FALSE(off->load);
  EXPECT_EQ(off->reason, "enable_policy = false at a.bpf.c:9");
  EXPECT_EQ(off->slots, 2u);
  EXPECT_EQ(off->live_slots, 0u);
  EXPECT_EQ(plan->FindProgram("a", "tail_lost")->reason, "nothing refers to it");
  EXPECT_EQ(plan->FindProgram("b", "tail_on"), nullptr);
}

TEST(Make, CountsAProgramWithTheFunctionsThatItCalls) {
  Sample a = Dropper("a");
  const uint32_t runs = a.AddFunction("runs", {MovImm(0, 1), MovImm(0, 2), Exit()});
  const uint32_t never = a.AddFunction("never", {MovImm(0, 1), MovImm(1, 2), MovImm(0, 3), Exit()});
  const uint32_t timer = a.AddFunction("timer", {Exit()});
  a.AddFunction("another", {Exit()});
  a.Refer(0, 0, object::RefKind::kCall, runs);
  a.Refer(0, 1, object::RefKind::kFunctionAddress, timer);
  a.Refer(runs, 1, object::RefKind::kCall, never);
  a.Refer(timer, 0, object::RefKind::kCall, runs);
  a.liveness.programs[0].functions = {0, runs, timer};
  a.liveness.programs[0].code = {{0, {{0, 1}}}, {runs, {{0, 0}, {2, 2}}}, {timer, {{0, 0}}}};
  auto plan = Plan({&a});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->programs[0].slots, 2u + 3 + 4 + 1) << "each once, dead ones too";
  EXPECT_EQ(plan->programs[0].live_slots, 2u + 2 + 1);
}

TEST(Make, LeavesOutAnObjectThatDoesNothing) {
  Sample xdp("xdp", "xdp", {MovImm(0, XDP_PASS), Exit()});
  xdp.AddMap(Hash("prefilter4", 10), {}, "enable_prefilter = false at xdp.bpf.c:3");
  object::DataSection config;
  config.name = ".rodata.config";
  config.bytes = {0, 0, 0, 0};
  config.read_only = true;
  xdp.spec.data_sections = {config};
  xdp.liveness.data_sections = {true};
  xdp.liveness.branches.push_back({.function = 0, .slot = 0, .taken = true,
                                   .constants = {"enable_prefilter"}, .file = "./datapath/xdp.bpf.c",
                                   .line = 3, .text = "if (!enable_prefilter)"});
  Sample pod = Dropper("from_pod");
  pod.spec.data_sections = {config};
  pod.liveness.data_sections = {true};
  auto plan = Plan({&pod, &xdp});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->objects[0].needed);
  EXPECT_FALSE(plan->objects[1].needed);
  EXPECT_THAT(plan->objects[1].reason, HasSubstr("enable_prefilter = "));
  EXPECT_THAT(plan->objects[1].reason, HasSubstr("at xdp.bpf.c:3 `if (!enable_prefilter)`"));
  EXPECT_EQ(plan->objects[1].live_insns, 0u);
  EXPECT_FALSE(plan->FindProgram("xdp", "xdp")->load);
  EXPECT_FALSE(plan->FindMap("xdp.rodata.config")->create);
  EXPECT_TRUE(plan->FindMap("from_pod.rodata.config")->create);
  EXPECT_EQ(plan->FindMap("from_pod.rodata.config")->value_size, 4u);
  EXPECT_FALSE(plan->FindMap("from_pod.rodata.config")->shared());
  EXPECT_EQ(plan->FindMap("prefilter4")->reason, "enable_prefilter = false at xdp.bpf.c:3");
}

TEST(Make, SkipsDataThatNoLiveCodeReads) {
  Sample a = Dropper("a");
  for (const char* name : {".rodata.config", ".bss", ".kconfig"}) {
    object::DataSection section;
    section.name = name;
    section.bytes.resize(8);
    a.spec.data_sections.push_back(section);
  }
  a.liveness.data_sections = {true, false, false};
  auto plan = Plan({&a});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->objects[0].skip_maps, ElementsAre(".bss"));
  EXPECT_FALSE(plan->FindMap("a.bss")->create);
}

TEST(Make, CutsLongListsOfUsers) {
  Sample a = Dropper("a");
  std::set<uint32_t> users = {0};
  for (int i = 0; i < 6; ++i) {
    users.insert(a.AddTail(fmt::format("tail_{}", i), "calls", static_cast<uint32_t>(i), true));
  }
  a.AddMap(Hash("ct4", 10), users);
  auto plan = Plan({&a});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->FindMap("ct4")->reason, "used by a/a, a/tail_0, a/tail_1, a/tail_2 and 3 more");
  EXPECT_EQ(plan->FindMap("ct4")->used_by.size(), 7u);
}

}  // namespace
}  // namespace bonsai::plan
