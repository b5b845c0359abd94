// SPDX-License-Identifier: Apache-2.0
// Boards as text. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/table.h"
#include "agent/tables/life_board.h"
#include "bonsai/v1/life.pb.h"

namespace bonsai::cli {

// Cells as the contract packs them; a message that does not hold what it says gives an empty grid.
tables::LifeGrid GridOf(const v1::LifeBoard& board);

// Two rows of cells in one line of half blocks, at most `columns` x `lines`; what does not fit is cut
// away around the middle. No colours, no control characters.
std::vector<std::string> DrawLife(const tables::LifeGrid& grid, size_t columns, size_t lines);

// All that a terminal is told to show these lines from its top on, and nothing else.
std::string LifeFrame(const std::vector<std::string>& lines, const std::string& status, Style style);

// One line: "generation 12, 345 cells alive, 128 x 96, every 100 ms".
std::string DescribeLife(const v1::LifeState& state);

// The whole board and a line about it.
std::string Render(const v1::LifeBoard& board, Style style);
std::string Render(const v1::LifeState& state, Style style);

// The state's fields, and the board as "rle".
std::string LifeJson(const v1::LifeBoard& board);
std::string LifeYaml(const v1::LifeBoard& board);

}  // namespace bonsai::cli
