// SPDX-License-Identifier: Apache-2.0
// HashIndex: finds items of a growing array by content. It keeps numbers and hashes only; who uses it
// compares. Open addressing, nothing is ever removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bonsai::reachability {

inline uint64_t MixHash(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 29;
}

class HashIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  HashIndex() : lines_(kFirstLines) {}

  // The number of an item with this hash for which `same(number)` holds, or kNone.
  template <typename Same>
  uint32_t Find(uint64_t hash, Same same) const {
    for (size_t at = hash & (lines_.size() - 1);; at = (at + 1) & (lines_.size() - 1)) {
      const Line& line = lines_[at];
      if (line.number == kNone) return kNone;
      if (line.hash == static_cast<uint32_t>(hash >> 32) && same(line.number)) return line.number;
    }
  }

  void Insert(uint64_t hash, uint32_t number) {
    if (++count_ * 2 > lines_.size()) Grow();
    Place(hash, number);
  }

 private:
  static constexpr size_t kFirstLines = 256;  // a power of two, as all sizes
  struct Line {
    uint32_t hash = 0;  // its upper half
    uint32_t low = 0;   // its lower half
    uint32_t number = kNone;
  };

  void Place(uint64_t hash, uint32_t number) {
    size_t at = hash & (lines_.size() - 1);
    while (lines_[at].number != kNone) at = (at + 1) & (lines_.size() - 1);
    lines_[at] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(hash), number};
  }

  void Grow() {
    std::vector<Line> old(lines_.size() * 2);
    old.swap(lines_);
    for (const Line& line : old) {
      if (line.number != kNone) Place(uint64_t{line.hash} << 32 | line.low, line.number);
    }
  }

  std::vector<Line> lines_;
  size_t count_ = 0;
};

}  // namespace bonsai::reachability
