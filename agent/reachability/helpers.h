// SPDX-License-Identifier: Apache-2.0
// What kernel helpers do to memory they are given a pointer to.
#pragma once

#include <cstdint>

namespace bonsai::reachability {

inline constexpr int kHelperTailCall = 12;

struct HelperWrites {
  bool writes = true;    // to the memory an argument points to
  int size_argument = 0;  // 1..5: at most as many bytes as that argument says; 0: any number upwards
};

// `argument`: 1..5. What is not known to be read only counts as written.
HelperWrites WritesOf(int32_t helper, int argument);

}  // namespace bonsai::reachability
