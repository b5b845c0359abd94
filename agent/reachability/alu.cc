// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/alu.h"

#include <linux/bpf.h>

#include <algorithm>
#include <bit>
#include <limits>

namespace bonsai::reachability {
namespace {

// ---- known bits ----

Bits AddBits(Bits a, Bits b) {
  // A sum bit is known where both bits and the carry into it are: where the carries of the least
  // and of the greatest sum agree.
  const uint64_t least = a.value + b.value;
  const uint64_t greatest = (a.value | a.unknown) + (b.value | b.unknown);
  const uint64_t carries_least = least ^ a.value ^ b.value;
  const uint64_t carries_greatest = greatest ^ (a.value | a.unknown) ^ (b.value | b.unknown);
  const uint64_t unknown = a.unknown | b.unknown | (carries_least ^ carries_greatest);
  return {least & ~unknown, unknown};
}

Bits SubBits(Bits a, Bits b) {
  // As for sums, with borrows: the most of them in the least difference.
  const uint64_t greatest_a = a.value | a.unknown, greatest_b = b.value | b.unknown;
  const uint64_t least = a.value - greatest_b;
  const uint64_t greatest = greatest_a - b.value;
  const uint64_t borrows_most = least ^ a.value ^ greatest_b;
  const uint64_t borrows_least = greatest ^ greatest_a ^ b.value;
  const uint64_t unknown = a.unknown | b.unknown | (borrows_most ^ borrows_least);
  return {least & ~unknown, unknown};
}

Bits AndBits(Bits a, Bits b) {
  const uint64_t maybe = (a.value | a.unknown) & (b.value | b.unknown);
  const uint64_t sure = a.value & b.value;
  return {sure, maybe & ~sure};
}

Bits OrBits(Bits a, Bits b) {
  const uint64_t sure = a.value | b.value;
  return {sure, (a.unknown | b.unknown) & ~sure};
}

Bits XorBits(Bits a, Bits b) {
  const uint64_t unknown = a.unknown | b.unknown;
  return {(a.value ^ b.value) & ~unknown, unknown};
}

Bits JoinBits(Bits a, Bits b) {
  const uint64_t unknown = a.unknown | b.unknown | (a.value ^ b.value);
  return {a.value & ~unknown, unknown};
}

Bits MulBits(Bits a, Bits b) {
  if (a.unknown != 0 && b.unknown != 0) {
    // Only the zeros at the low end are kept: what multiplies two unknowns decides no branch.
    const int zeros = std::countr_zero(a.value | a.unknown) + std::countr_zero(b.value | b.unknown);
    if (zeros >= 64) return {0, 0};
    return {0, UINT64_MAX << zeros};
  }
  // No sharper than tnum_mul() of any kernel: up to 6.17 the unknown parts of the partial products
  // were summed by themselves, since then a bit that may be set or not joins both sums.
  Bits unknown_parts{0, 0}, sum{0, 0};
  Bits shifted = b;
  for (Bits rest = a; (rest.value | rest.unknown) != 0;
       rest = {rest.value >> 1, rest.unknown >> 1}, shifted = {shifted.value << 1, shifted.unknown << 1}) {
    if (rest.value & 1) {
      unknown_parts = AddBits(unknown_parts, {0, shifted.unknown});
      sum = AddBits(sum, shifted);
    } else if (rest.unknown & 1) {
      unknown_parts = AddBits(unknown_parts, {0, shifted.value | shifted.unknown});
      sum = JoinBits(sum, AddBits(sum, shifted));
    }
  }
  return JoinBits(AddBits({a.value * b.value, 0}, unknown_parts), sum);
}

// ---- bounds ----

template <typename T, typename S>
constexpr Bounds<T, S> Any() {
  return {0, std::numeric_limits<T>::max(), std::numeric_limits<S>::min(),
          std::numeric_limits<S>::max()};
}

template <typename T, typename S>
Bounds<T, S> AddBounds(const Bounds<T, S>& a, const Bounds<T, S>& b) {
  Bounds<T, S> sum = Any<T, S>();
  T low, high;
  const bool low_wraps = __builtin_add_overflow(a.umin, b.umin, &low);
  // SOUND: when the least sum wraps, every sum wraps exactly once, so that order is kept.
  if (__builtin_add_overflow(a.umax, b.umax, &high) == low_wraps) sum.umin = low, sum.umax = high;
  S slow, shigh;
  if (!__builtin_add_overflow(a.smin, b.smin, &slow) &&
      !__builtin_add_overflow(a.smax, b.smax, &shigh)) {
    sum.smin = slow, sum.smax = shigh;
  }
  return sum;
}

template <typename T, typename S>
Bounds<T, S> SubBounds(const Bounds<T, S>& a, const Bounds<T, S>& b) {
  Bounds<T, S> difference = Any<T, S>();
  T low, high;
  const bool low_wraps = __builtin_sub_overflow(a.umin, b.umax, &low);
  // SOUND: as for sums: all wrap or none does.
  if (__builtin_sub_overflow(a.umax, b.umin, &high) == low_wraps) {
    difference.umin = low, difference.umax = high;
  }
  S slow, shigh;
  if (!__builtin_sub_overflow(a.smin, b.smax, &slow) &&
      !__builtin_sub_overflow(a.smax, b.smin, &shigh)) {
    difference.smin = slow, difference.smax = shigh;
  }
  return difference;
}

template <typename T, typename S>
Bounds<T, S> MulBounds(const Bounds<T, S>& a, const Bounds<T, S>& b) {
  Bounds<T, S> product = Any<T, S>();
  T high;
  if (!__builtin_mul_overflow(a.umax, b.umax, &high)) {
    product.umin = a.umin * b.umin, product.umax = high;
  }
  S corners[4];
  if (!__builtin_mul_overflow(a.smin, b.smin, &corners[0]) &&
      !__builtin_mul_overflow(a.smin, b.smax, &corners[1]) &&
      !__builtin_mul_overflow(a.smax, b.smin, &corners[2]) &&
      !__builtin_mul_overflow(a.smax, b.smax, &corners[3])) {
    product.smin = *std::min_element(corners, corners + 4);
    product.smax = *std::max_element(corners, corners + 4);
  }
  return product;
}

template <typename T, typename S>
Bounds<T, S> AndBounds(const Bounds<T, S>& a, const Bounds<T, S>& b) {
  Bounds<T, S> result = Any<T, S>();
  result.umax = std::min(a.umax, b.umax);
  return result;
}

template <typename T, typename S>
Bounds<T, S> OrBounds(const Bounds<T, S>& a, const Bounds<T, S>& b) {
  Bounds<T, S> result = Any<T, S>();
  result.umin = std::max(a.umin, b.umin);
  return result;
}

template <typename T, typename S>
Bounds<T, S> ShiftBounds(uint8_t op, const Bounds<T, S>& a, uint32_t by) {
  Bounds<T, S> result = Any<T, S>();
  if (op == BPF_RSH) {
    result.umin = a.umin >> by, result.umax = a.umax >> by;
  } else if (op == BPF_ARSH) {
    result.smin = a.smin >> by, result.smax = a.smax >> by;
  } else {
    if (static_cast<T>(a.umax << by) >> by == a.umax) {
      result.umin = a.umin << by, result.umax = a.umax << by;
    }
    const S low = static_cast<S>(static_cast<T>(a.smin) << by);
    const S high = static_cast<S>(static_cast<T>(a.smax) << by);
    if (low >> by == a.smin && high >> by == a.smax) result.smin = low, result.smax = high;
  }
  return result;
}

Bits ShiftBits(uint8_t op, bool wide, Bits a, uint32_t by) {
  if (op == BPF_LSH) return {a.value << by, a.unknown << by};
  if (op == BPF_RSH) return {a.value >> by, a.unknown >> by};
  // An unknown sign bit makes all that it is copied to unknown.
  if (wide) {
    return {static_cast<uint64_t>(static_cast<int64_t>(a.value) >> by),
            static_cast<uint64_t>(static_cast<int64_t>(a.unknown) >> by)};
  }
  return {static_cast<uint32_t>(static_cast<int32_t>(a.value) >> by),
          static_cast<uint32_t>(static_cast<int32_t>(a.unknown) >> by)};
}

// `wide` false: the low halves are the operands and the result is zero-extended.
Number Shift(uint8_t op, bool wide, const Number& a, const Number& b) {
  const uint32_t width = wide ? 64 : 32;
  // SOUND: amounts out of range are masked by machines in different ways, so they say nothing.
  if (!b.IsConst() || b.value() >= width) return Number::Any();
  const auto by = static_cast<uint32_t>(b.value());
  Number result;
  result.bits = ShiftBits(op, wide, a.bits, by);
  if (wide) {
    result.b64 = ShiftBounds(op, a.b64, by);
    // The low half of a left shift hangs on the low half alone.
    if (op == BPF_LSH && by < 32) result.b32 = ShiftBounds(op, a.b32, by);
  } else {
    result.b32 = ShiftBounds(op, a.b32, by);
  }
  return result;
}

uint64_t Compute(uint8_t op, uint64_t a, uint64_t b) {
  switch (op) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_AND: return a & b;
    case BPF_OR: return a | b;
    case BPF_XOR: return a ^ b;
    default: return -a;  // BPF_NEG
  }
}

Number Ring(uint8_t op, const Number& a, const Number& b) {
  switch (op) {
    case BPF_ADD:
      return {AddBits(a.bits, b.bits), AddBounds(a.b64, b.b64), AddBounds(a.b32, b.b32)};
    case BPF_SUB:
      return {SubBits(a.bits, b.bits), SubBounds(a.b64, b.b64), SubBounds(a.b32, b.b32)};
    case BPF_MUL:
      return {MulBits(a.bits, b.bits), MulBounds(a.b64, b.b64), MulBounds(a.b32, b.b32)};
    case BPF_AND:
      return {AndBits(a.bits, b.bits), AndBounds(a.b64, b.b64), AndBounds(a.b32, b.b32)};
    case BPF_OR:
      return {OrBits(a.bits, b.bits), OrBounds(a.b64, b.b64), OrBounds(a.b32, b.b32)};
    case BPF_XOR:
      return {XorBits(a.bits, b.bits), kAny64, kAny32};
    default:  // BPF_NEG
      return Ring(BPF_SUB, Number::Const(0), a);
  }
}

uint64_t ExtendSign(uint64_t value, uint32_t bits) {
  const uint32_t shift = 64 - bits;
  return static_cast<uint64_t>(static_cast<int64_t>(value << shift) >> shift);
}

// Of the lowest `bits` of a number within `bounds`.
template <typename T, typename S>
Bounds<T, S> ExtendBounds(const Bounds<T, S>& bounds, uint32_t bits) {
  const auto low = static_cast<S>(ExtendSign(static_cast<T>(bounds.smin), bits));
  const auto high = static_cast<S>(ExtendSign(static_cast<T>(bounds.smax), bits));
  const bool same_top =
      static_cast<T>(bounds.smin) >> bits == static_cast<T>(bounds.smax) >> bits;
  if (same_top && (low < 0) == (high < 0)) {
    return {static_cast<T>(low), static_cast<T>(high), low, high};
  }
  const auto most = static_cast<S>((uint64_t{1} << (bits - 1)) - 1);
  return {0, static_cast<T>(-1), static_cast<S>(-most - 1), most};
}

Number Settled(Number number) {
  // Never empty for operands that are not; if it were, saying nothing is the safe answer.
  return number.Settle() ? number : Number::Any();
}

// Of a 32-bit operation. What the verifier does not follow it forgets as a whole, the upper half too
// (adjust_scalar_min_max_vals() of kernel 6.18).
Number Narrow(const Number& low) { return low.IsAny() ? low : Settled(Low32(Settled(low))); }

}  // namespace

Number Alu(uint8_t op, bool wide, const Number& a, const Number& b) {
  switch (op) {
    case BPF_ADD: case BPF_SUB: case BPF_MUL: case BPF_AND: case BPF_OR: case BPF_XOR:
    case BPF_NEG: {
      if (a.IsConst() && b.IsConst()) {
        const uint64_t result = Compute(op, a.value(), b.value());
        return Number::Const(wide ? result : static_cast<uint32_t>(result));
      }
      // Nothing is nothing: half of all values.
      if (wide && op != BPF_AND && op != BPF_OR && op != BPF_MUL && (a.IsAny() || b.IsAny())) {
        return Number::Any();
      }
      if (wide) return Settled(Ring(op, a, b));
      // The low half of a result hangs on the low halves of the operands alone.
      return Settled(Low32(Settled(Ring(op, Low32(a), Low32(b)))));
    }
    case BPF_LSH: case BPF_RSH: case BPF_ARSH:
      if (wide) return Settled(Shift(op, true, a, b));
      // The amount counts as a whole, as for the verifier (is_safe_to_compute_dst_reg_range()).
      return Narrow(Shift(op, false, Low32(a), b));
    default:
      return Number::Any();
  }
}

Number SignExtend(const Number& a, uint32_t bits, bool wide) {
  if (a.IsConst()) {
    const uint64_t extended = ExtendSign(a.value(), bits);
    return Number::Const(wide ? extended : static_cast<uint32_t>(extended));
  }
  // As coerce_reg_to_size_sx() and coerce_subreg_to_size_sx() of kernel 6.18: known bits are
  // forgotten, and bounds kept only where what is cut off and the sign do not change.
  if (wide) {
    Number n;
    n.b64 = ExtendBounds(a.b64, bits);
    if (bits <= 32) n.b32 = {0, UINT32_MAX, static_cast<int32_t>(n.b64.smin),
                             static_cast<int32_t>(n.b64.smax)};
    return Settled(n);
  }
  Number n = Number::OfSize(4);
  n.b32 = ExtendBounds(a.b32, bits);
  n.b64 = {n.b32.umin, n.b32.umax, n.b32.umin, n.b32.umax};
  return Settled(n);
}

Number ByteSwap(const Number& a, uint32_t bits) {
  const uint32_t shift = 64 - bits;
  Number swapped;
  swapped.bits = {__builtin_bswap64(a.bits.value) >> shift,
                  __builtin_bswap64(a.bits.unknown) >> shift};
  return Settled(swapped);
}

}  // namespace bonsai::reachability
