// SPDX-License-Identifier: Apache-2.0
// The Game of Life written as plainly as can be: a byte a cell, coordinates modulo the board, so that
// on a board narrower than three cells a neighbour counts more than once. What the datapath computes
// is held against it.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace bonsai::testing {

class LifeReference {
 public:
  LifeReference(uint32_t width, uint32_t height)
      : width_(width), height_(height), cells_(static_cast<size_t>(width) * height) {}

  uint32_t width() const { return width_; }
  uint32_t height() const { return height_; }
  bool Get(uint32_t x, uint32_t y) const { return cells_[Index(x, y)] != 0; }
  void Set(uint32_t x, uint32_t y, bool alive) { cells_[Index(x, y)] = alive ? 1 : 0; }

  // Live cells are 'O' in `rows`, whose first is at (x, y); what goes over an edge comes in again.
  void Draw(uint32_t x, uint32_t y, const std::vector<std::string>& rows) {
    for (uint32_t j = 0; j < rows.size(); ++j) {
      for (uint32_t i = 0; i < rows[j].size(); ++i) {
        Set((x + i) % width_, (y + j) % height_, rows[j][i] == 'O');
      }
    }
  }

  void Scatter(uint32_t seed, unsigned percent) {
    std::mt19937 random(seed);
    for (uint8_t& cell : cells_) cell = random() % 100 < percent ? 1 : 0;
  }

  void Step() {
    std::vector<uint8_t> next(cells_.size());
    for (uint32_t y = 0; y < height_; ++y) {
      for (uint32_t x = 0; x < width_; ++x) {
        const int around = Neighbours(x, y);
        next[Index(x, y)] = around == 3 || (around == 2 && Get(x, y)) ? 1 : 0;
      }
    }
    cells_ = std::move(next);
  }

  uint64_t Population() const {
    uint64_t alive = 0;
    for (const uint8_t cell : cells_) alive += cell;
    return alive;
  }

  bool operator==(const LifeReference&) const = default;

 private:
  size_t Index(uint32_t x, uint32_t y) const { return static_cast<size_t>(y) * width_ + x; }

  int Neighbours(uint32_t x, uint32_t y) const {
    int around = 0;
    for (int dy = -1; dy <= 1; ++dy) {
      for (int dx = -1; dx <= 1; ++dx) {
        if (dx == 0 && dy == 0) continue;
        around += cells_[Index((x + width_ + dx) % width_, (y + height_ + dy) % height_)];
      }
    }
    return around;
  }

  uint32_t width_, height_;
  std::vector<uint8_t> cells_;
};

}  // namespace bonsai::testing
