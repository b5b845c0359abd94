// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/life_board.h"

#include <gtest/gtest.h>

#include "agent/tables/life_pattern.h"

namespace bonsai::tables {
namespace {

bool Bit(const life_row& row, uint32_t at) { return row.words[at / 64] >> at % 64 & 1; }

TEST(LifeGrid, RowsCarryCellsAndTheTorus) {
  for (const uint32_t width : {1u, 2u, 63u, 64u, 65u, 100u, 2047u, 2048u}) {
    const LifeGrid grid = RandomLife(width, 3, width);
    LifeGrid back(width, 3);
    for (uint32_t y = 0; y < 3; ++y) {
      const life_row row = grid.Row(y);
      for (uint32_t x = 0; x < width; ++x) ASSERT_EQ(Bit(row, 64 + x), grid.Get(x, y)) << width;
      EXPECT_EQ(Bit(row, 63), grid.Get(width - 1, y)) << width;
      EXPECT_EQ(Bit(row, 64 + width), grid.Get(0, y)) << width;
      back.SetRow(y, row);
    }
    EXPECT_TRUE(back == grid) << width;
  }
}

// The datapath leaves anything in the bits beyond the row's end.
TEST(LifeGrid, ReadsNothingBeyondItsWidth) {
  life_row row;
  for (auto& word : row.words) word = ~0ull;
  for (const uint32_t width : {1u, 7u, 8u, 9u, 64u, 65u, 2048u}) {
    LifeGrid grid(width, 1);
    grid.SetRow(0, row);
    EXPECT_EQ(grid.Population(), width);
  }
}

}  // namespace
}  // namespace bonsai::tables
