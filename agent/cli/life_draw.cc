// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/life_draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/cli/document.h"
#include "agent/cli/units.h"
#include "agent/tables/life_pattern.h"

namespace bonsai::cli {
namespace {

constexpr const char* kBlocks[2][2] = {{" ", "▄"}, {"▀", "█"}};  // [above][below]

bool IsAlive(const tables::LifeGrid& grid, uint32_t x, uint32_t y) {
  return y < grid.height() && grid.Get(x, y);
}

// The first of `wanted` cells around the middle of `side`.
uint32_t Begin(uint32_t side, size_t wanted) {
  return side > wanted ? (side - static_cast<uint32_t>(wanted)) / 2 : 0;
}

// To the nanosecond below a second, as which it can be set.
std::string Interval(double seconds) {
  if (seconds >= 0.9995) return Duration(seconds);
  std::string millis = fmt::format("{:.6f}", seconds * 1000);
  millis.erase(millis.find_last_not_of('0') + 1);
  if (millis.back() == '.') millis.pop_back();
  return millis + " ms";
}

nlohmann::ordered_json Tree(const v1::LifeBoard& board) {
  const std::string state = ToJson(board.state());
  nlohmann::ordered_json tree =
      nlohmann::ordered_json::parse(state, nullptr, /*allow_exceptions=*/false);
  tree["rle"] = tables::ToLifeRle(GridOf(board));
  return tree;
}

}  // namespace

tables::LifeGrid GridOf(const v1::LifeBoard& board) {
  const v1::LifeState& state = board.state();
  const bool fits = state.width() <= LIFE_MAX_SIDE && state.height() <= LIFE_MAX_SIDE;
  tables::LifeGrid grid(fits ? state.width() : 0, fits ? state.height() : 0);
  if (board.cells().size() != grid.bytes().size()) return {};
  for (uint32_t y = 0; y < grid.height(); ++y) {
    for (uint32_t x = 0; x < grid.width(); ++x) {
      const auto byte = static_cast<uint8_t>(board.cells()[y * grid.stride() + x / 8]);
      if (byte >> x % 8 & 1) grid.Set(x, y);
    }
  }
  return grid;
}

std::vector<std::string> DrawLife(const tables::LifeGrid& grid, size_t columns, size_t lines) {
  const uint32_t left = Begin(grid.width(), columns), top = Begin(grid.height(), 2 * lines);
  const auto right = static_cast<uint32_t>(std::min<size_t>(grid.width(), left + columns));
  const auto bottom = static_cast<uint32_t>(std::min<size_t>(grid.height(), top + 2 * lines));
  std::vector<std::string> drawn;
  for (uint32_t y = top; y < bottom; y += 2) {
    std::string line;
    for (uint32_t x = left; x < right; ++x) {
      line += kBlocks[grid.Get(x, y)][y + 1 < bottom && IsAlive(grid, x, y + 1)];
    }
    drawn.push_back(std::move(line));
  }
  return drawn;
}

// Erased before it is written: behind a full line the cursor still stands on the last column, which
// would be erased as well.
std::string LifeFrame(const std::vector<std::string>& lines, const std::string& status,
                      Style style) {
  std::string text = "\033[H";
  for (const std::string& line : lines) {
    text += "\033[K" + style.Paint(Colour::kGreen, line) + "\r\n";
  }
  return text + "\033[J" + style.Paint(Colour::kDim, status);
}

std::string DescribeLife(const v1::LifeState& state) {
  std::string text = fmt::format("generation {}, {} alive, {} x {}", Count(state.generation()),
                                 Count(state.population()), state.width(), state.height());
  if (state.paused()) return text + ", paused";
  if (state.interval_seconds() == 0) return text + ", as fast as its share of the CPU allows";
  return text + fmt::format(", every {}", Interval(state.interval_seconds()));
}

std::string Render(const v1::LifeState& state, Style) { return DescribeLife(state) + "\n"; }

std::string Render(const v1::LifeBoard& board, Style style) {
  std::string text;
  for (std::string line : DrawLife(GridOf(board), LIFE_MAX_SIDE, LIFE_MAX_SIDE)) {
    line.erase(line.find_last_not_of(' ') + 1);
    text += line.empty() ? "\n" : style.Paint(Colour::kGreen, line) + "\n";
  }
  return text + Render(board.state(), style);
}

std::string LifeJson(const v1::LifeBoard& board) { return Tree(board).dump(2) + "\n"; }

std::string LifeYaml(const v1::LifeBoard& board) { return ToYaml(Tree(board)); }

}  // namespace bonsai::cli
