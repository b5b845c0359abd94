// SPDX-License-Identifier: Apache-2.0
// Boards written to and read from real maps.
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "agent/tables/life_board.h"
#include "agent/tables/life_pattern.h"

namespace bonsai::tables {
namespace {

class LifeMapsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: making maps needs root";
    maps_.emplace(LifeMaps{Make(sizeof(life_row), kHeight), Make(sizeof(life_row), kHeight),
                           Make(sizeof(life_state), 1)});
  }
  static kernel::BpfMap Make(uint32_t value, uint32_t entries) {
    auto map = kernel::BpfMap::Create({.type = BPF_MAP_TYPE_ARRAY, .key_size = 4,
                                       .value_size = value, .max_entries = entries,
                                       .name = "life_test"});
    EXPECT_TRUE(map.ok()) << map.status();
    return *std::move(map);
  }
  void Put(const life_state& state) {
    const uint32_t zero = 0;
    ASSERT_TRUE(maps_->state.Update(&zero, &state).ok());
  }

  static constexpr uint32_t kWidth = 70, kHeight = 40;
  std::optional<LifeMaps> maps_;
};

TEST_F(LifeMapsTest, ReadsWhatWasWritten) {
  const LifeGrid grid = RandomLife(kWidth, kHeight, 3);
  life_state state = {.generation = 17, .interval_ns = 5, .generations = 99};
  ASSERT_TRUE(WriteLife(*maps_, grid, state).ok());
  const auto view = ReadLife(*maps_);
  ASSERT_TRUE(view.ok() && view->has_value());
  EXPECT_TRUE((*view)->grid == grid);
  EXPECT_EQ((*view)->state.generation, 0u);
  EXPECT_EQ((*view)->state.seeds, 2u);
  EXPECT_EQ((*view)->state.population, grid.Population());
  EXPECT_EQ((*view)->state.interval_ns, 5u);
  EXPECT_EQ((*view)->state.generations, 99u) << "accounts are never set back";
  EXPECT_FALSE(IsPaused((*view)->state));
}

TEST_F(LifeMapsTest, StaysPausedWithAnotherBoard) {
  life_state state = {.generation = 17, .run_until = 17, .width = kWidth, .height = kHeight};
  ASSERT_TRUE(WriteLife(*maps_, LifeGrid(kWidth, kHeight), state).ok());
  EXPECT_TRUE(IsPaused((*ReadLife(*maps_))->state));
}

TEST_F(LifeMapsTest, ReadsNothingThatIsNotWhole) {
  Put({.seeds = 3, .width = kWidth, .height = kHeight});
  EXPECT_FALSE(ReadLife(*maps_)->has_value()) << "it is being written";
  Put({.seeds = 2, .width = kWidth, .height = kHeight + 1});
  EXPECT_FALSE(ReadLife(*maps_)->has_value()) << "the maps are of another size";
  // Never the same generation at two looks.
  std::atomic<bool> stop = false;
  std::jthread mover([&] {
    life_state state = {.seeds = 2, .width = kWidth, .height = kHeight};
    for (const uint32_t zero = 0; !stop; ++state.generation) {
      if (!maps_->state.Update(&zero, &state).ok()) return;
    }
  });
  int torn = 0;
  for (int i = 0; i < 200; ++i) torn += !ReadLife(*maps_)->has_value();
  stop = true;
  EXPECT_GT(torn, 0);
}

}  // namespace
}  // namespace bonsai::tables
