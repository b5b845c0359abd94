// SPDX-License-Identifier: Apache-2.0
// The board of feature life between its maps (contract.h) and the rest of the agent.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/kernel/bpf_map.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {

// Runs until somebody pauses it.
inline constexpr uint64_t kLifeForever = LIFE_FOREVER;

// Cells, a bit each: row after row, each of `stride()` bytes, cell x in bit x % 8 of byte x / 8. Bits
// beyond the width are 0.
class LifeGrid {
 public:
  LifeGrid() = default;
  LifeGrid(uint32_t width, uint32_t height)
      : width_(width), height_(height), bytes_(stride() * height) {}

  uint32_t width() const { return width_; }
  uint32_t height() const { return height_; }
  size_t stride() const { return (static_cast<size_t>(width_) + 7) / 8; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  bool Get(uint32_t x, uint32_t y) const { return bytes_[At(x, y)] >> x % 8 & 1; }
  void Set(uint32_t x, uint32_t y) { bytes_[At(x, y)] |= static_cast<uint8_t>(1u << x % 8); }
  uint64_t Population() const;
  bool operator==(const LifeGrid&) const = default;

  // As the datapath has it, the torus included.
  life_row Row(uint32_t y) const;
  void SetRow(uint32_t y, const life_row& row);

 private:
  size_t At(uint32_t x, uint32_t y) const { return y * stride() + x / 8; }

  uint32_t width_ = 0, height_ = 0;
  std::vector<uint8_t> bytes_;
};

struct LifeView {
  life_state state = {};
  LifeGrid grid;  // generation state.generation
};

// What readers need. Immutable; look-ups from any thread.
struct LifeMaps {
  kernel::BpfMap even, odd, state;
};

absl::StatusOr<life_state> ReadLifeState(const kernel::BpfMap& state);

// One generation, whole. Nothing: the board moved on while it was read, however often it was tried.
absl::StatusOr<std::optional<LifeView>> ReadLife(const LifeMaps& maps);

// Makes `grid` generation 0. Only while the timer stands still. What `state` says besides the board is
// kept: interval, accounts, and whether it is paused; `state` is then as it was written.
absl::Status WriteLife(const LifeMaps& maps, const LifeGrid& grid, life_state& state);

bool IsPaused(const life_state& state);

}  // namespace bonsai::tables
