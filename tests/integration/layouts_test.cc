// SPDX-License-Identifier: Apache-2.0
// A map that another version of the agent left is shared, converted or left alone, never misread.
#include <gmock/gmock.h>

#include <cstring>

#include "agent/load/layouts.h"
#include "agent/load/pins.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ObjectChoice kFirst{.file = "generation",
                          .constants = {{"use_tail", 0}},
                          .dead_maps = {"big", "calls"},
                          .dead_programs = {"tail_count", "tail_dead"}};

// What a restarted agent finds below the pin root, held against its plan.
struct Found {
  std::map<std::string, kernel::BpfMap> pinned;
  load::ExistingMaps maps;
  load::Conversions conversions;
  std::vector<std::string> lost;

  Found(const std::string& root, const plan::LoadPlan& plan,
        const std::vector<load::Migration>& migrations = {}) {
    auto opened = load::OpenPinnedMaps(root);
    auto layouts = load::ReadLayouts(root);
    EXPECT_TRUE(opened.ok() && layouts.ok()) << opened.status() << layouts.status();
    pinned = *std::move(opened);
    for (const auto& [name, map] : pinned) maps[name] = &map;
    lost = load::SetUnlikeApart(plan, *layouts, migrations, maps, conversions);
  }
};

class Layouts : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_ROOT();
    auto loaded = load::Execute(PlanOf({kFirst}), {}, {.root = root.path()});
    ASSERT_OK(loaded);
    ASSERT_OK(loaded->Commit());
    const uint32_t slot = 0;
    const uint64_t count = 7;
    ASSERT_OK(loaded->FindMap("counters")->Update(&slot, &count));
  }
  PinRoot root;
};

TEST_F(Layouts, OfTheSameMapAreEqualAndItIsShared) {
  const plan::LoadPlan plan = PlanOf({kFirst});
  EXPECT_NE(plan.FindMap("counters")->layout_hash, 0u);
  Found found(root.path(), plan);
  EXPECT_THAT(found.lost, IsEmpty());
  auto next = load::Execute(plan, found.maps, {.root = root.path()});
  ASSERT_OK(next);
  EXPECT_TRUE(next->maps().at("counters").reused);
  EXPECT_EQ(Counter(*next, 0), 7u);
}

TEST_F(Layouts, ThatDifferAreSaidAndTheMapStartsEmpty) {
  const plan::LoadPlan plan = PlanOf({{.file = "relaid"}});
  Found found(root.path(), plan);
  EXPECT_THAT(found.lost,
              ElementsAre("map counters starts empty: its layout changed from v1 to v2"));
  EXPECT_THAT(found.maps, IsEmpty());
  auto next = load::Execute(plan, found.maps, {.root = root.path()});
  ASSERT_OK(next);
  EXPECT_FALSE(next->maps().at("counters").reused);
  EXPECT_EQ(Counter(*next, 0), 0u);
  ASSERT_OK(next->Commit());
  EXPECT_THAT(Found(root.path(), plan).lost, IsEmpty()) << "it is of layout 2 now";
  EXPECT_THAT(Found(root.path(), PlanOf({kFirst})).lost, SizeIs(1)) << "and so for one who goes back";
}

TEST_F(Layouts, ThatNobodyToldApartAreSeenByTheirFields) {
  const plan::LoadPlan plan = PlanOf({{.file = "relaid_unsaid"}});
  Found found(root.path(), plan);
  ASSERT_THAT(found.lost, SizeIs(1));
  EXPECT_THAT(found.lost[0], HasSubstr("the fields of its layout v1 changed"));
  EXPECT_THAT(found.maps, IsEmpty());
}

TEST_F(Layouts, WithAKnownWayBetweenThemAreConverted) {
  const plan::LoadPlan plan = PlanOf({{.file = "relaid"}});
  const load::Migration widen{
      .map = "counters",
      .convert = [](auto key, auto value) -> std::optional<std::pair<load::Bytes, load::Bytes>> {
        uint64_t count = 0;
        std::memcpy(&count, value.data(), sizeof(count));
        const uint32_t counter[2] = {0, static_cast<uint32_t>(count)};  // dropped, passed
        load::Bytes made(sizeof(counter));
        std::memcpy(made.data(), counter, sizeof(counter));
        return std::make_pair(load::Bytes(key.begin(), key.end()), made);
      }};
  Found found(root.path(), plan, {widen});
  EXPECT_THAT(found.lost, IsEmpty());
  auto next = load::Execute(plan, found.maps,
                            {.root = root.path(), .conversions = found.conversions});
  ASSERT_OK(next);
  EXPECT_TRUE(next->maps().at("counters").carried);
  EXPECT_EQ(Counter(*next, 0), uint64_t{7} << 32) << "seven passed, none dropped";
}

TEST_F(Layouts, OfMapsThatAreGoneAreForgotten) {
  auto layouts = load::ReadLayouts(root.path());
  ASSERT_OK(layouts);
  EXPECT_THAT(*layouts, SizeIs(1));
  EXPECT_EQ(layouts->begin()->second.version, 1u);
  auto next = load::Execute(PlanOf({{.file = "relaid"}}), {}, {.root = root.path()});
  ASSERT_OK(next);
  ASSERT_OK(next->Commit());
  layouts = load::ReadLayouts(root.path());
  ASSERT_OK(layouts);
  EXPECT_THAT(*layouts, SizeIs(1));
  EXPECT_EQ(layouts->begin()->second.version, 2u);
  ASSERT_OK(load::RemovePins(root.path()));
  EXPECT_THAT(root.List(""), IsEmpty());
}

}  // namespace
}  // namespace bonsai::testing
