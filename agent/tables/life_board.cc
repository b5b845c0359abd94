// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/life_board.h"

#include <bit>
#include <cstring>
#include <numeric>
#include <span>

#include "agent/base/status.h"

namespace bonsai::tables {
namespace {

constexpr int kReadAttempts = 8;
constexpr uint32_t kTheOne = 0;  // key of maps with one element

absl::Status WriteState(const kernel::BpfMap& map, const life_state& state) {
  return map.Update(&kTheOne, &state);
}

absl::StatusOr<LifeGrid> ReadRows(const LifeMaps& maps, const life_state& state) {
  LifeGrid grid(state.width, state.height);
  const kernel::BpfMap& map = state.generation % 2 == 0 ? maps.even : maps.odd;
  RETURN_IF_ERROR(map.ForEach([&](std::span<const uint8_t> key, std::span<const uint8_t> value) {
    uint32_t y = 0;
    life_row row;
    std::memcpy(&y, key.data(), sizeof(y));
    std::memcpy(&row, value.data(), sizeof(row));
    if (y < grid.height()) grid.SetRow(y, row);
    return true;
  }));
  return grid;
}

}  // namespace

uint64_t LifeGrid::Population() const {
  return std::accumulate(bytes_.begin(), bytes_.end(), uint64_t{0},
                         [](uint64_t sum, uint8_t byte) { return sum + std::popcount(byte); });
}

life_row LifeGrid::Row(uint32_t y) const {
  life_row row = {};
  const auto set = [&row](uint32_t bit) { row.words[bit / 64] |= uint64_t{1} << bit % 64; };
  for (uint32_t x = 0; x < width_; ++x) {
    if (Get(x, y)) set(64 + x);
  }
  if (Get(width_ - 1, y)) set(63);
  if (Get(0, y)) set(64 + width_);
  return row;
}

void LifeGrid::SetRow(uint32_t y, const life_row& row) {
  uint8_t* to = bytes_.data() + At(0, y);
  for (size_t i = 0; i < stride(); ++i) {
    to[i] = static_cast<uint8_t>(row.words[1 + i / 8] >> i % 8 * 8);
  }
  if (width_ % 8 != 0) to[stride() - 1] &= static_cast<uint8_t>((1u << width_ % 8) - 1);
}

bool IsPaused(const life_state& state) { return state.generation >= state.run_until; }

absl::StatusOr<life_state> ReadLifeState(const kernel::BpfMap& state) {
  life_state read = {};
  RETURN_IF_ERROR(state.Lookup(&kTheOne, &read));
  return read;
}

absl::StatusOr<std::optional<LifeView>> ReadLife(const LifeMaps& maps) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    LifeView view;
    ASSIGN_OR_RETURN(view.state, ReadLifeState(maps.state));
    // Of a size that these maps are not: others are about to take their place.
    if (view.state.seeds % 2 != 0 || view.state.height != maps.even.info().max_entries) continue;
    ASSIGN_OR_RETURN(view.grid, ReadRows(maps, view.state));
    ASSIGN_OR_RETURN(const life_state after, ReadLifeState(maps.state));
    if (after.seeds == view.state.seeds && after.generation == view.state.generation) return view;
  }
  return std::optional<LifeView>();
}

absl::Status WriteLife(const LifeMaps& maps, const LifeGrid& grid, life_state& state) {
  const bool paused = state.width != 0 && state.run_until != kLifeForever;
  state.seeds |= 1;
  RETURN_IF_ERROR(WriteState(maps.state, state));
  std::vector<uint32_t> keys(grid.height());
  std::vector<life_row> rows;
  std::iota(keys.begin(), keys.end(), 0);
  for (const uint32_t y : keys) rows.push_back(grid.Row(y));
  RETURN_IF_ERROR(maps.even.UpdateMany(keys.data(), rows.data(), keys.size()));
  ++state.seeds;
  state.generation = 0;
  state.population = grid.Population();
  state.run_until = paused ? 0 : kLifeForever;
  state.width = grid.width();
  state.height = grid.height();
  state.partial_population = state.partial_ns = 0;
  state.next_row = 0;
  return WriteState(maps.state, state);
}

}  // namespace bonsai::tables
