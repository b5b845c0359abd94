// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/compare.h"

#include <linux/bpf.h>

#include <algorithm>
#include <bit>
#include <limits>

namespace bonsai::reachability {
namespace {

// The part of a Number that a comparison of one width looks at.
template <typename T, typename S>
struct View {
  T value, unknown;
  Bounds<T, S> bounds;
};

template <typename T, typename S>
View<T, S> ViewOf(const Number& n) {
  if constexpr (sizeof(T) == 8) {
    return {n.bits.value, n.bits.unknown, n.b64};
  } else {
    return {static_cast<T>(n.bits.value), static_cast<T>(n.bits.unknown), n.b32};
  }
}

Outcome Not(Outcome outcome) {
  if (outcome == Outcome::kEither) return outcome;
  return outcome == Outcome::kAlways ? Outcome::kNever : Outcome::kAlways;
}

template <typename T>
Outcome Greater(T amin, T amax, T bmin, T bmax) {
  if (amin > bmax) return Outcome::kAlways;
  return amax <= bmin ? Outcome::kNever : Outcome::kEither;
}

template <typename T, typename S>
Outcome DecideEqual(const View<T, S>& a, const View<T, S>& b) {
  if (a.unknown == 0 && b.unknown == 0) {
    return a.value == b.value ? Outcome::kAlways : Outcome::kNever;
  }
  const bool apart = ((a.value ^ b.value) & ~a.unknown & ~b.unknown) != 0 ||
                     a.bounds.umin > b.bounds.umax || a.bounds.umax < b.bounds.umin ||
                     a.bounds.smin > b.bounds.smax || a.bounds.smax < b.bounds.smin;
  return apart ? Outcome::kNever : Outcome::kEither;
}

template <typename T, typename S>
Outcome DecideOn(uint8_t op, const View<T, S>& a, const View<T, S>& b) {
  const Bounds<T, S>& x = a.bounds;
  const Bounds<T, S>& y = b.bounds;
  switch (op) {
    case BPF_JEQ: return DecideEqual(a, b);
    case BPF_JNE: return Not(DecideEqual(a, b));
    case BPF_JGT: return Greater(x.umin, x.umax, y.umin, y.umax);
    case BPF_JLE: return Not(Greater(x.umin, x.umax, y.umin, y.umax));
    case BPF_JLT: return Greater(y.umin, y.umax, x.umin, x.umax);
    case BPF_JGE: return Not(Greater(y.umin, y.umax, x.umin, x.umax));
    case BPF_JSGT: return Greater(x.smin, x.smax, y.smin, y.smax);
    case BPF_JSLE: return Not(Greater(x.smin, x.smax, y.smin, y.smax));
    case BPF_JSLT: return Greater(y.smin, y.smax, x.smin, x.smax);
    case BPF_JSGE: return Not(Greater(y.smin, y.smax, x.smin, x.smax));
    case BPF_JSET:
      // Like is_scalar_branch_taken() of kernel 6.18, which asks for one constant.
      if (a.unknown != 0 && b.unknown != 0) return Outcome::kEither;
      if ((a.value & b.value) != 0) return Outcome::kAlways;
      return ((a.value | a.unknown) & (b.value | b.unknown)) == 0 ? Outcome::kNever
                                                                  : Outcome::kEither;
    default: return Outcome::kEither;
  }
}

// a > b
template <typename T>
bool RefineGreater(T& amin, T& amax, T& bmin, T& bmax) {
  if (amax <= bmin) return false;
  amin = std::max<T>(amin, bmin + (bmin != std::numeric_limits<T>::max()));
  bmax = std::min<T>(bmax, amax - (amax != std::numeric_limits<T>::min()));
  return amin <= amax && bmin <= bmax;
}

// a >= b
template <typename T>
bool RefineAtLeast(T& amin, T& amax, T& bmin, T& bmax) {
  amin = std::max(amin, bmin);
  bmax = std::min(bmax, amax);
  return amin <= amax && bmin <= bmax;
}

template <typename T, typename S>
bool RefineOrder(uint8_t op, Bounds<T, S>& a, Bounds<T, S>& b) {
  switch (op) {
    case BPF_JGT: return RefineGreater(a.umin, a.umax, b.umin, b.umax);
    case BPF_JLT: return RefineGreater(b.umin, b.umax, a.umin, a.umax);
    case BPF_JGE: return RefineAtLeast(a.umin, a.umax, b.umin, b.umax);
    case BPF_JLE: return RefineAtLeast(b.umin, b.umax, a.umin, a.umax);
    case BPF_JSGT: return RefineGreater(a.smin, a.smax, b.smin, b.smax);
    case BPF_JSLT: return RefineGreater(b.smin, b.smax, a.smin, a.smax);
    case BPF_JSGE: return RefineAtLeast(a.smin, a.smax, b.smin, b.smax);
    case BPF_JSLE: return RefineAtLeast(b.smin, b.smax, a.smin, a.smax);
    default: return true;
  }
}

// The jump that is taken when `op` is not.
uint8_t Opposite(uint8_t op) {
  switch (op) {
    case BPF_JGT: return BPF_JLE;
    case BPF_JLE: return BPF_JGT;
    case BPF_JLT: return BPF_JGE;
    case BPF_JGE: return BPF_JLT;
    case BPF_JSGT: return BPF_JSLE;
    case BPF_JSLE: return BPF_JSGT;
    case BPF_JSLT: return BPF_JSGE;
    case BPF_JSGE: return BPF_JSLT;
    default: return op;
  }
}

// `a` differs from the constant `c`: only the ends of ranges can tell.
template <typename T, typename S>
bool Exclude(T c, Bounds<T, S>& a) {
  if (a.umin == c && a.umax == c) return false;
  if (a.umin == c) ++a.umin;
  if (a.umax == c) --a.umax;
  const S s = static_cast<S>(c);
  if (a.smin == s && a.smax == s) return false;
  if (a.smin == s) ++a.smin;
  if (a.smax == s) --a.smax;
  return true;
}

Bounds64& BoundsOf(Number& n, uint64_t) { return n.b64; }
Bounds32& BoundsOf(Number& n, uint32_t) { return n.b32; }

// Equal in this width: each is what both are.
template <typename T>
bool RefineEqual(Number& a, Number& b) {
  Number common_a = a, common_b = b;
  if constexpr (sizeof(T) == 4) {
    // Only the low halves are equal.
    common_a = Number::Any(), common_b = Number::Any();
    common_a.bits = {a.bits.value & UINT32_MAX, a.bits.unknown | UINT64_MAX << 32};
    common_b.bits = {b.bits.value & UINT32_MAX, b.bits.unknown | UINT64_MAX << 32};
    common_a.b32 = a.b32, common_b.b32 = b.b32;
  }
  return Intersect(common_b, a) && Intersect(common_a, b);
}

template <typename T>
bool RefineSet(bool taken, Number& a, const Number& b) {
  const auto unknown = static_cast<T>(b.bits.unknown);
  const auto mask = static_cast<T>(b.bits.value);
  if (unknown != 0) return true;
  if (!taken) {
    if ((a.bits.value & mask) != 0) return false;
    // As the verifier does: it forgets the bounds here (__mark_reg_unbounded() in
    // regs_refine_cond_op() of kernel 6.18).
    a.b64 = kAny64, a.b32 = kAny32;
    a.bits.unknown &= ~uint64_t{mask};
  } else if (std::has_single_bit(mask)) {
    if (((a.bits.value | a.bits.unknown) & mask) == 0) return false;
    a.bits.value |= mask;
    a.bits.unknown &= ~uint64_t{mask};
  }
  return a.Settle();
}

template <typename T, typename S>
bool RefineIn(uint8_t op, bool taken, Number& a, Number& b) {
  if (op == BPF_JSET) return RefineSet<T>(taken, a, b) && RefineSet<T>(taken, b, a);
  if (op == BPF_JEQ || op == BPF_JNE) {
    if (taken == (op == BPF_JEQ)) return RefineEqual<T>(a, b);
    if (static_cast<T>(b.bits.unknown) == 0 &&
        !Exclude(static_cast<T>(b.bits.value), BoundsOf(a, T{}))) {
      return false;
    }
    if (static_cast<T>(a.bits.unknown) == 0 &&
        !Exclude(static_cast<T>(a.bits.value), BoundsOf(b, T{}))) {
      return false;
    }
  } else if (!RefineOrder(taken ? op : Opposite(op), BoundsOf(a, T{}), BoundsOf(b, T{}))) {
    return false;
  }
  return a.Settle() && b.Settle();
}

}  // namespace

Outcome Decide(uint8_t op, bool wide, const Number& a, const Number& b) {
  if (wide) return DecideOn(op, ViewOf<uint64_t, int64_t>(a), ViewOf<uint64_t, int64_t>(b));
  return DecideOn(op, ViewOf<uint32_t, int32_t>(a), ViewOf<uint32_t, int32_t>(b));
}

bool CompareConstants(uint8_t op, bool wide, uint64_t a, uint64_t b) {
  const auto x = static_cast<int64_t>(wide ? a : static_cast<uint64_t>(static_cast<int32_t>(a)));
  const auto y = static_cast<int64_t>(wide ? b : static_cast<uint64_t>(static_cast<int32_t>(b)));
  // SOUND: sign extension keeps the unsigned order of halves as well.
  const auto ux = static_cast<uint64_t>(x), uy = static_cast<uint64_t>(y);
  switch (op) {
    case BPF_JEQ: return x == y;
    case BPF_JNE: return x != y;
    case BPF_JGT: return ux > uy;
    case BPF_JGE: return ux >= uy;
    case BPF_JLT: return ux < uy;
    case BPF_JLE: return ux <= uy;
    case BPF_JSGT: return x > y;
    case BPF_JSGE: return x >= y;
    case BPF_JSLT: return x < y;
    case BPF_JSLE: return x <= y;
    default: return (ux & uy) != 0;  // BPF_JSET
  }
}

bool Refine(uint8_t op, bool wide, bool taken, Number& a, Number& b) {
  if (wide) return RefineIn<uint64_t, int64_t>(op, taken, a, b);
  return RefineIn<uint32_t, int32_t>(op, taken, a, b);
}

}  // namespace bonsai::reachability
