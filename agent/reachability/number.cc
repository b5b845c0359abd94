// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/number.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace bonsai::reachability {
namespace {

// All bits up to the highest that is set.
uint64_t Below(uint64_t bits) { return bits == 0 ? 0 : UINT64_MAX >> std::countl_zero(bits); }

// Known bits of any number between two bounds: their common prefix.
Bits PrefixOf(uint64_t low, uint64_t high) {
  const uint64_t unknown = Below(low ^ high);
  return {low & ~unknown, unknown};
}

// False when the two contradict each other.
bool Meet(const Bits& other, Bits& bits) {
  if ((bits.value ^ other.value) & ~bits.unknown & ~other.unknown) return false;
  const uint64_t unknown = bits.unknown & other.unknown;
  bits = {(bits.value | other.value) & ~unknown, unknown};
  return true;
}

template <typename T, typename S>
bool Meet(const Bounds<T, S>& other, Bounds<T, S>& bounds) {
  bounds = {std::max(bounds.umin, other.umin), std::min(bounds.umax, other.umax),
            std::max(bounds.smin, other.smin), std::min(bounds.smax, other.smax)};
  return bounds.umin <= bounds.umax && bounds.smin <= bounds.smax;
}

template <typename T, typename S>
void FromBits(T value, T unknown, Bounds<T, S>& bounds) {
  constexpr T kSign = T{1} << (sizeof(T) * 8 - 1);
  bounds.umin = std::max(bounds.umin, value);
  bounds.umax = std::min<T>(bounds.umax, value | unknown);
  // The sign bit counts negative: set when it may be for the least, clear for the greatest.
  bounds.smin = std::max(bounds.smin, static_cast<S>(value | (unknown & kSign)));
  bounds.smax = std::min(bounds.smax, static_cast<S>(value | (unknown & ~kSign)));
}

template <typename T, typename S>
void SignAndUnsigned(Bounds<T, S>& bounds) {
  // An unsigned range that does not cross the sign is a signed range, and the other way round.
  if (static_cast<S>(bounds.umin) <= static_cast<S>(bounds.umax)) {
    bounds.smin = std::max(bounds.smin, static_cast<S>(bounds.umin));
    bounds.smax = std::min(bounds.smax, static_cast<S>(bounds.umax));
  }
  if (static_cast<T>(bounds.smin) <= static_cast<T>(bounds.smax)) {
    bounds.umin = std::max(bounds.umin, static_cast<T>(bounds.smin));
    bounds.umax = std::min(bounds.umax, static_cast<T>(bounds.smax));
  } else if (bounds.umin > static_cast<T>(bounds.smax)) {
    // Crosses the sign, and the part from zero up is excluded.
    bounds.umin = std::max(bounds.umin, static_cast<T>(bounds.smin));
  } else if (bounds.umax < static_cast<T>(bounds.smin)) {
    bounds.umax = std::min(bounds.umax, static_cast<T>(bounds.smax));
  }
}

void HalvesAndWhole(Number& n) {
  Bounds64& whole = n.b64;
  Bounds32& low = n.b32;
  if (whole.umin >> 32 == whole.umax >> 32) {
    const uint64_t high = whole.umin >> 32 << 32;
    low.umin = std::max(low.umin, static_cast<uint32_t>(whole.umin));
    low.umax = std::min(low.umax, static_cast<uint32_t>(whole.umax));
    whole.umin = std::max(whole.umin, high | low.umin);
    whole.umax = std::min(whole.umax, high | low.umax);
  }
  if (whole.smin >= INT32_MIN && whole.smax <= INT32_MAX) {
    low.smin = std::max(low.smin, static_cast<int32_t>(whole.smin));
    low.smax = std::min(low.smax, static_cast<int32_t>(whole.smax));
    whole.smin = std::max<int64_t>(whole.smin, low.smin);
    whole.smax = std::min<int64_t>(whole.smax, low.smax);
  }
}

bool Valid(const Number& n) {
  return n.b64.umin <= n.b64.umax && n.b64.smin <= n.b64.smax && n.b32.umin <= n.b32.umax &&
         n.b32.smin <= n.b32.smax;
}

template <typename T, typename S>
Bounds<T, S> Hull(const Bounds<T, S>& a, const Bounds<T, S>& b) {
  return {std::min(a.umin, b.umin), std::max(a.umax, b.umax), std::min(a.smin, b.smin),
          std::max(a.smax, b.smax)};
}

template <typename T, typename S>
void GiveUp(const Bounds<T, S>& before, Bounds<T, S>& next) {
  if (next.umin < before.umin) next.umin = 0;
  if (next.umax > before.umax) next.umax = static_cast<T>(-1);
  if (next.smin < before.smin) next.smin = std::numeric_limits<S>::min();
  if (next.smax > before.smax) next.smax = std::numeric_limits<S>::max();
}

}  // namespace

Number Number::OfSize(uint32_t size) {
  Number n;
  if (size >= 8) return n;
  const uint64_t mask = (uint64_t{1} << (size * 8)) - 1;
  n.bits = {0, mask};
  n.b64 = {0, mask, 0, static_cast<int64_t>(mask)};
  if (size < 4) {
    n.b32 = {0, static_cast<uint32_t>(mask), 0, static_cast<int32_t>(mask)};
  }
  return n;
}

bool Number::Contains(uint64_t number) const {
  const auto low = static_cast<uint32_t>(number);
  const auto in = [](const auto& bounds, auto u, auto s) {
    return bounds.umin <= u && u <= bounds.umax && bounds.smin <= s && s <= bounds.smax;
  };
  return ((number ^ bits.value) & ~bits.unknown) == 0 &&
         in(b64, number, static_cast<int64_t>(number)) && in(b32, low, static_cast<int32_t>(low));
}

bool Number::Settle() {
  if (IsConst()) {
    if (!Contains(bits.value)) return false;
    *this = Const(bits.value);
    return true;
  }
  // Twice: what the second half learns, the first half uses.
  for (int round = 0; round < 2; ++round) {
    const Number before = *this;
    FromBits(bits.value, bits.unknown, b64);
    FromBits(static_cast<uint32_t>(bits.value), static_cast<uint32_t>(bits.unknown), b32);
    HalvesAndWhole(*this);
    SignAndUnsigned(b64);
    SignAndUnsigned(b32);
    HalvesAndWhole(*this);
    if (!Valid(*this)) return false;
    Bits low = PrefixOf(b32.umin, b32.umax);
    low.unknown |= UINT64_MAX << 32;
    if (!Meet(PrefixOf(b64.umin, b64.umax), bits) || !Meet(low, bits)) return false;
    if (*this == before) break;
  }
  if (!IsConst()) return true;
  if (!Contains(bits.value)) return false;
  *this = Const(bits.value);
  return true;
}

Number Join(const Number& a, const Number& b) {
  if (a == b) return a;
  Number joined;
  const uint64_t unknown = a.bits.unknown | b.bits.unknown | (a.bits.value ^ b.bits.value);
  joined.bits = {a.bits.value & ~unknown, unknown};
  joined.b64 = Hull(a.b64, b.b64);
  joined.b32 = Hull(a.b32, b.b32);
  return joined;
}

Number Widen(const Number& before, const Number& next) {
  Number widened = Join(before, next);
  GiveUp(before.b64, widened.b64);
  GiveUp(before.b32, widened.b32);
  if (widened.bits.unknown != before.bits.unknown) {
    // From the lowest bit that moved up nothing is kept: counters settle in one step.
    const uint64_t moved = widened.bits.unknown & ~before.bits.unknown;
    const uint64_t unknown = widened.bits.unknown | ~((moved & -moved) - 1);
    widened.bits = {widened.bits.value & ~unknown, unknown};
  }
  return widened;
}

bool Intersect(const Number& other, Number& number) {
  return Meet(other.bits, number.bits) && Meet(other.b64, number.b64) &&
         Meet(other.b32, number.b32) && number.Settle();
}

Number Low32(const Number& number) {
  if (number.IsConst()) return Number::Const(static_cast<uint32_t>(number.value()));
  Number low;
  low.bits = {static_cast<uint32_t>(number.bits.value), static_cast<uint32_t>(number.bits.unknown)};
  low.b32 = number.b32;
  low.b64 = {low.b32.umin, low.b32.umax, low.b32.umin, low.b32.umax};
  return low;
}

Number LowBytes(const Number& number, uint32_t size) {
  if (size >= 8) return number;
  if (size == 4) return Low32(number);
  const uint64_t mask = (uint64_t{1} << (size * 8)) - 1;
  if (number.IsConst()) return Number::Const(number.value() & mask);
  if (number.b64.umax <= mask) return number;
  Number low = Number::OfSize(size);
  low.bits = {number.bits.value & mask, number.bits.unknown & mask};
  low.Settle();
  return low;
}

}  // namespace bonsai::reachability
