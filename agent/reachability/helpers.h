// SPDX-License-Identifier: Apache-2.0
// What kernel helpers do to memory they are given a pointer to.
#pragma once

#include <cstdint>

namespace bonsai::reachability {

inline constexpr int kHelperTailCall = 12;

struct HelperWrites {
  bool writes = true;    // to the memory an argument points to
  int size_argument = 0;  // 1..5: at most as many bytes as that argument says
  int size = 0;           // at most so many bytes; both 0: any number upwards
  bool map_value = false;  // a value of the map in r1
};

// The argument that is a function the helper calls, or 0.
int CallbackArgument(int32_t helper);

// Whether this engine knows that a helper calls no function of the program but CallbackArgument().
bool IsKnownHelper(int32_t helper);

// `argument`: 1..5. What is not known to be read only counts as written.
HelperWrites WritesOf(int32_t helper, int argument);

}  // namespace bonsai::reachability
