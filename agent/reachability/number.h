// SPDX-License-Identifier: Apache-2.0
// Number: a set of 64-bit numbers, described by known bits and by unsigned and signed ranges of
// the whole and of its low half. It always holds every number the register can hold.
#pragma once

#include <cstdint>

namespace bonsai::reachability {

// Bounds of a number of one width (T: uint64_t or uint32_t, S: its signed twin).
template <typename T, typename S>
struct Bounds {
  T umin, umax;
  S smin, smax;
  bool operator==(const Bounds&) const = default;
};
using Bounds64 = Bounds<uint64_t, int64_t>;
using Bounds32 = Bounds<uint32_t, int32_t>;

inline constexpr Bounds64 kAny64{0, UINT64_MAX, INT64_MIN, INT64_MAX};
inline constexpr Bounds32 kAny32{0, UINT32_MAX, INT32_MIN, INT32_MAX};

// Known bits: those clear in `unknown` have the value they have in `value`; value & unknown == 0.
struct Bits {
  uint64_t value = 0;
  uint64_t unknown = UINT64_MAX;
  bool operator==(const Bits&) const = default;
};

struct Number {
  Bits bits;
  Bounds64 b64 = kAny64;
  Bounds32 b32 = kAny32;

  static Number Any() { return {}; }
  static Number Const(uint64_t value) {
    const auto low = static_cast<uint32_t>(value);
    return {{value, 0},
            {value, value, static_cast<int64_t>(value), static_cast<int64_t>(value)},
            {low, low, static_cast<int32_t>(low), static_cast<int32_t>(low)}};
  }
  // All numbers of `size` bytes, zero-extended.
  static Number OfSize(uint32_t size);

  bool IsConst() const { return bits.unknown == 0; }
  bool IsAny() const {
    return bits.unknown == UINT64_MAX && b64.umin == 0 && b64.umax == UINT64_MAX &&
           b64.smin == INT64_MIN && b64.smax == INT64_MAX && b32 == kAny32;
  }
  uint64_t value() const { return bits.value; }  // of a constant
  bool Contains(uint64_t number) const;
  bool operator==(const Number&) const = default;

  // Lets each description tell the others what it knows. False: the set is empty.
  bool Settle();
};

// The smallest description here that holds both sets.
Number Join(const Number& a, const Number& b);
// As Join, but bounds of `next` that moved since `before` give up, so that chains stay short.
Number Widen(const Number& before, const Number& next);
// What both sets hold; false: nothing.
bool Intersect(const Number& other, Number& number);
// The low 32 bits, zero-extended.
Number Low32(const Number& number);
// The low `size` bytes, zero-extended; size 1, 2, 4 or 8.
Number LowBytes(const Number& number, uint32_t size);

}  // namespace bonsai::reachability
