// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/sizing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include "agent/plan/reload_class.h"

namespace bonsai::plan {
namespace {

using ::testing::IsEmpty;

constexpr uint32_t kSize = 131072;
constexpr CostFacts kFacts{.possible_cpus = 2};

MapPlan Map(const std::string& name, uint32_t type, uint32_t flags = 0) {
  MapPlan map{.name = name, .type = type, .key_size = 16, .value_size = 72, .map_flags = flags,
              .max_entries = kSize, .sized_by = "ct-entries", .create = true};
  map.bytes = MapBytes(type, 16, 72, kSize, flags, kFacts);
  return map;
}

class SizingTest : public ::testing::Test {
 protected:
  // Peaks as given, watched long enough unless said otherwise.
  std::vector<SizingAdvice> Advise(const std::map<std::string, uint64_t>& peaks,
                                   double watched = kWatchSeconds) const {
    std::map<std::string, MapPeak> by_map;
    for (const auto& [map, entries] : peaks) {
      by_map[map] = {.entries = entries, .watched_seconds = watched,
                     .bytes = plan_.FindMap(map)->bytes};
    }
    return AdviseSizes(schema_, plan_, by_map, kFacts);
  }

  settings::Schema schema_ = *settings::Schema::Make(settings::AgentSettings());
  LoadPlan plan_{.maps = {Map("ct4", BPF_MAP_TYPE_LRU_HASH), Map("ct6", BPF_MAP_TYPE_LRU_HASH)}};
};

TEST_F(SizingTest, NoAdviceForAMapThatFits) {
  EXPECT_THAT(Advise({{"ct4", kSize / 2}, {"ct6", 0}}), IsEmpty());
  EXPECT_THAT(Advise({{"ct4", kSize / 10}, {"ct6", 0}}), ::testing::SizeIs(1))
      << "13107 is just below a tenth";
  EXPECT_THAT(Advise({{"ct4", kSize / 10 + 1}, {"ct6", 0}}), IsEmpty());
  EXPECT_THAT(Advise({{"ct4", kSize / 10 * 8}, {"ct6", 0}}), IsEmpty());
}

TEST_F(SizingTest, ShrinksWhatNeverHeldMuchByWhatAllItsMapsSave) {
  const auto advices = Advise({{"ct4", 1000}, {"ct6", 500}});
  ASSERT_EQ(advices.size(), 1u);
  const SizingAdvice& advice = advices[0];
  EXPECT_EQ(advice.setting, "ct-entries");
  EXPECT_EQ(advice.map, "ct4");
  EXPECT_EQ(advice.size, kSize);
  EXPECT_EQ(advice.peak, 1000u);
  EXPECT_EQ(advice.suggested, 8192u) << "four times the peak, and what an LRU map keeps back";
  const int64_t one = static_cast<int64_t>(MapBytes(BPF_MAP_TYPE_LRU_HASH, 16, 72, 8192, 0, kFacts)) -
                      static_cast<int64_t>(plan_.maps[0].bytes);
  EXPECT_EQ(advice.bytes, 2 * one);
  EXPECT_LT(advice.bytes, 0);
}

TEST_F(SizingTest, WhatIsSuggestedFitsAndGetsNoFurtherAdvice) {
  for (uint64_t peak : {0ull, 1ull, 100ull, 1000ull, 12000ull, 110000ull, 131072ull}) {
    plan_.maps = {Map("ct4", BPF_MAP_TYPE_LRU_HASH)};
    const auto advices = Advise({{"ct4", peak}});
    ASSERT_EQ(advices.size(), 1u) << peak;
    EXPECT_GE(advices[0].suggested, RoomFor(BPF_MAP_TYPE_LRU_HASH, peak, 2));
    plan_.maps[0].max_entries = static_cast<uint32_t>(advices[0].suggested);
    plan_.maps[0].bytes = MapBytes(BPF_MAP_TYPE_LRU_HASH, 16, 72, plan_.maps[0].max_entries, 0, kFacts);
    EXPECT_THAT(Advise({{"ct4", peak}}), IsEmpty()) << peak;
  }
}

TEST_F(SizingTest, ShrinksOnlyAfterItWasWatchedForAWhile) {
  EXPECT_THAT(Advise({{"ct4", 10}, {"ct6", 10}}, kWatchSeconds - 1), IsEmpty());
}

TEST_F(SizingTest, ShrinksNothingThatIsSmall) {
  for (MapPlan& map : plan_.maps) {
    map.max_entries = 2048;
    map.bytes = MapBytes(map.type, 16, 72, 2048, 0, kFacts);
  }
  ASSERT_LT(plan_.maps[0].bytes + plan_.maps[1].bytes, kWorthShrinkingBytes);
  EXPECT_THAT(Advise({{"ct4", 1}, {"ct6", 1}}), IsEmpty());
}

TEST_F(SizingTest, ShrinksNoTrieForItTakesWhatItHolds) {
  plan_.maps = {Map("ct4", BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC)};
  plan_.maps[0].bytes = 2 << 20;
  EXPECT_THAT(Advise({{"ct4", 1000}}), IsEmpty());
}

TEST_F(SizingTest, GrowsWhatIsNearlyFullAtOnce) {
  const auto advices = Advise({{"ct4", 10}, {"ct6", kSize / 10 * 9}}, 0);
  ASSERT_EQ(advices.size(), 1u);
  EXPECT_EQ(advices[0].map, "ct6");
  EXPECT_EQ(advices[0].suggested, 2 * kSize);
  EXPECT_GT(advices[0].bytes, 0);
}

TEST_F(SizingTest, GrowsNothingBeyondWhatTheSettingAllows) {
  for (MapPlan& map : plan_.maps) map.max_entries = 16777216;
  EXPECT_THAT(Advise({{"ct4", 16777216}, {"ct6", 0}}), IsEmpty());
}

TEST_F(SizingTest, SaysNothingWhileAMapOfTheSettingIsNotCounted) {
  EXPECT_THAT(Advise({{"ct4", kSize}}), IsEmpty());
  plan_.maps[1].create = false;
  EXPECT_THAT(Advise({{"ct4", kSize}}), ::testing::SizeIs(1));
}

}  // namespace
}  // namespace bonsai::plan
