// SPDX-License-Identifier: Apache-2.0
// What a board may begin with: patterns by name, at random, or in RLE, the format of Life
// collections (https://conwaylife.com/wiki/Run_Length_Encoded). Pure.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/tables/life_board.h"

namespace bonsai::tables {

struct LifePattern {
  uint32_t width = 0, height = 0;  // as the header says
  std::vector<std::pair<uint32_t, uint32_t>> alive;  // x, y
};

// InvalidArgument with line and column: no header, a rule other than B3/S23, sides of 0 or above
// LIFE_MAX_SIDE, a character or count that cannot be, cells outside of what the header says.
absl::StatusOr<LifePattern> ParseLifeRle(const std::string& text);

// Lines of at most 70 characters; the header first.
std::string ToLifeRle(const LifeGrid& grid);

// "glider", "gun"; NotFound for others.
absl::StatusOr<LifePattern> NamedLifePattern(const std::string& name);

// In the middle of a board of this size. InvalidArgument: it does not fit.
absl::StatusOr<LifeGrid> PlaceLifePattern(const LifePattern& pattern, uint32_t width,
                                          uint32_t height);

// About a third of the cells alive; the same for the same number.
LifeGrid RandomLife(uint32_t width, uint32_t height, uint64_t number);

}  // namespace bonsai::tables
