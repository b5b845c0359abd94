// SPDX-License-Identifier: Apache-2.0
// Choices of the generators. Same seed, same choices, with any standard library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace bonsai::differential {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t Next() { return engine_(); }
  uint64_t Below(uint64_t limit) { return engine_() % limit; }
  bool Percent(uint64_t percent) { return Below(100) < percent; }
  template <typename T>
  const T& Of(const std::vector<T>& choices) { return choices[Below(choices.size())]; }

  // A number that code trips over: small, at the edges of a width, one bit, or any.
  uint64_t Nasty() {
    static constexpr int kEdges[] = {7, 8, 15, 16, 31, 32, 63};
    switch (Below(6)) {
      case 0: return Below(4);
      case 1: return Below(256);
      case 2: return (uint64_t{1} << kEdges[Below(7)]) + Below(3) - 1;
      case 3: return -(1 + Below(200));
      case 4: return uint64_t{1} << Below(64);
      default: return Next();
    }
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace bonsai::differential
