// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/number_table.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

#include "agent/reachability/alu.h"

namespace bonsai::reachability {
namespace {

// Powers of two. Not more: an analysis that takes a millisecond feels each page it touches.
constexpr size_t kLines = 1024, kComparisonLines = 256;
// Distinct numbers an analysis keeps; what comes after says nothing.
constexpr size_t kMaxNumbers = 1 << 17;
constexpr size_t kExpectedNumbers = 1 << 12;
// Pairs of members of two sets that are looked at one by one.
constexpr size_t kMaxPairs = 64;

uint64_t HashNumber(const Number& number, SetId set) {
  // Two chains, for a processor that multiplies both at once.
  uint64_t left = MixHash(set, number.bits.value), right = MixHash(0, number.bits.unknown);
  left = MixHash(left, number.b64.umin);
  right = MixHash(right, number.b64.umax);
  left = MixHash(left, static_cast<uint64_t>(number.b64.smin) ^ number.b32.umin);
  right = MixHash(right, static_cast<uint64_t>(number.b64.smax) ^ number.b32.umax);
  return MixHash(left ^ right >> 7, static_cast<uint64_t>(int64_t{number.b32.smin}) << 32 ^
                                        static_cast<uint32_t>(number.b32.smax));
}

// Bounds and bits of exactly these numbers, so that there is nothing to settle.
Number HullOf(const ValueSet& members) {
  const uint64_t first = *members.begin();
  Number hull = Number::Const(first);
  uint64_t ones = first, zeros = ~first;  // in all members
  for (const uint64_t member : members) {
    ones &= member;
    zeros &= ~member;
    hull.b64.smin = std::min(hull.b64.smin, static_cast<int64_t>(member));
    hull.b64.smax = std::max(hull.b64.smax, static_cast<int64_t>(member));
    const auto low = static_cast<uint32_t>(member);
    hull.b32 = {std::min(hull.b32.umin, low), std::max(hull.b32.umax, low),
                std::min(hull.b32.smin, static_cast<int32_t>(low)),
                std::max(hull.b32.smax, static_cast<int32_t>(low))};
  }
  hull.b64.umin = first;
  hull.b64.umax = *(members.end() - 1);
  hull.bits = {ones, ~ones & ~zeros};
  return hull;
}

bool IsWide(uint8_t opcode) {
  return (opcode & 0x07) == BPF_ALU64 || (opcode & 0x07) == BPF_JMP;
}

}  // namespace

NumberTable::NumberTable() : lines_(kLines), comparisons_(kComparisonLines) {
  entries_.reserve(kExpectedNumbers);
  for (const uint32_t size : {8u, 1u, 2u, 4u}) Intern(Number::OfSize(size), 0);
}

bool NumberTable::Members(Scalar scalar, ValueSet& members) const {
  if (scalar.is_const) {
    members = {};
    return members.Add(scalar.payload);
  }
  const SetId set = entries_[scalar.payload].set;
  if (set != 0) members = sets_.Of(set);
  return set != 0;
}

Scalar NumberTable::Intern(const Number& number, SetId set) {
  const uint64_t hash = HashNumber(number, set);
  const uint32_t found = index_.Find(hash, [&](NumberId id) {
    return entries_[id].set == set && entries_[id].number == number;
  });
  if (found != HashIndex::kNone) return Scalar::Pooled(found);
  if (entries_.size() >= kMaxNumbers) return Scalar();
  const auto id = static_cast<NumberId>(entries_.size());
  entries_.push_back({number, set});
  index_.Insert(hash, id);
  return Scalar::Pooled(id);
}

Scalar NumberTable::Make(const Number& number) {
  if (number.IsConst()) return Scalar::Const(number.value());
  return number.IsAny() ? Scalar() : Intern(number, 0);
}

Scalar NumberTable::OneOf(const ValueSet& members) {
  const Number number = HullOf(members);
  const SetId set = sets_.Intern(members);
  return set == 0 ? Make(number) : Intern(number, set);
}

NumberTable::Key NumberTable::KeyOf(Operation operation, uint32_t detail, Scalar a, Scalar b) {
  return {a.payload, b.payload,
          static_cast<uint32_t>(operation) << 16 | detail << 2 | (a.is_const ? 2u : 0u) |
              (b.is_const ? 1u : 0u)};
}

size_t NumberTable::HashOf(const Key& key) {
  return static_cast<size_t>(MixHash(MixHash(key.a, key.b), key.what) >> 20);
}

template <typename Compute>
Scalar NumberTable::Remember(const Key& key, Compute compute) {
  const size_t at = HashOf(key) & (kLines - 1);
  if (lines_[at].key == key) return lines_[at].result;
  const Scalar result = compute();
  lines_[at] = {key, result};
  return result;
}

template <typename Compute>
Scalar NumberTable::Map(Scalar a, Compute operation) {
  if (!HasSet(a)) return Make(operation(NumberOf(a)));
  ValueSet members, results;
  Members(a, members);
  for (const uint64_t member : members) {
    const Number one = operation(Number::Const(member));
    if (!one.IsConst()) return Make(operation(NumberOf(a)));
    results.Add(one.value());
  }
  return OneOf(results);
}

Scalar NumberTable::AluOfConstants(uint8_t opcode, uint64_t a, uint64_t b) {
  const uint8_t op = opcode & 0xf0;
  if (IsWide(opcode)) {
    switch (op) {
      case BPF_ADD: return Scalar::Const(a + b);
      case BPF_SUB: return Scalar::Const(a - b);
      case BPF_AND: return Scalar::Const(a & b);
      case BPF_OR: return Scalar::Const(a | b);
      default: break;
    }
  }
  return Make(reachability::Alu(op, IsWide(opcode), Number::Const(a), Number::Const(b)));
}

Scalar NumberTable::AluOfNumbers(uint8_t opcode, Scalar a, Scalar b) {
  // Nothing is nothing: a large part of all values.
  if (a.IsAny() || b.IsAny()) {
    switch (opcode) {
      case BPF_ALU64 | BPF_ADD | BPF_K: case BPF_ALU64 | BPF_ADD | BPF_X:
      case BPF_ALU64 | BPF_SUB | BPF_K: case BPF_ALU64 | BPF_SUB | BPF_X:
      case BPF_ALU64 | BPF_XOR | BPF_K: case BPF_ALU64 | BPF_XOR | BPF_X:
        return Scalar();
      default: break;
    }
  }
  // Whether an operand stands in a register or in the instruction is all one.
  const auto detail = static_cast<uint8_t>(opcode & ~BPF_X);
  return Remember(KeyOf(Operation::kAlu, detail, a, b), [&] { return ComputeAlu(detail, a, b); });
}

Scalar NumberTable::ComputeAlu(uint8_t opcode, Scalar a, Scalar b) {
  const uint8_t op = opcode & 0xf0;
  const bool wide = IsWide(opcode);
  const Number whole = reachability::Alu(op, wide, NumberOf(a), NumberOf(b));
  if (!HasSet(a) && !HasSet(b)) return Make(whole);
  ValueSet lefts, rights, results;
  if (!Members(a, lefts) || !Members(b, rights) || lefts.size() * rights.size() > kMaxPairs) {
    return Make(whole);
  }
  for (const uint64_t x : lefts) {
    for (const uint64_t y : rights) {
      const Number one = reachability::Alu(op, wide, Number::Const(x), Number::Const(y));
      // Too many, or one that is not followed (a division, a shift out of range).
      if (!one.IsConst() || !results.Add(one.value())) return Make(whole);
    }
  }
  return OneOf(results);
}

Scalar NumberTable::LowBytes(Scalar a, uint32_t size) {
  if (size >= 8) return a;
  if (a.is_const) return Scalar::Const(a.payload & ((uint64_t{1} << (size * 8)) - 1));
  if (a.IsAny()) return Scalar::OfSize(size);
  return Remember(KeyOf(Operation::kLowBytes, size, a, Scalar()), [&] {
    return Map(a, [&](const Number& n) { return reachability::LowBytes(n, size); });
  });
}

Scalar NumberTable::SignExtend(Scalar a, uint32_t bits, bool wide) {
  return Remember(KeyOf(Operation::kSignExtend, bits * 2 + wide, a, Scalar()), [&] {
    return Map(a, [&](const Number& n) { return reachability::SignExtend(n, bits, wide); });
  });
}

Scalar NumberTable::ByteSwap(Scalar a, uint32_t bits) {
  return Remember(KeyOf(Operation::kByteSwap, bits, a, Scalar()), [&] {
    return Map(a, [&](const Number& n) { return reachability::ByteSwap(n, bits); });
  });
}

const Comparison& NumberTable::Compare(uint8_t opcode, Scalar a, Scalar b) {
  const auto detail = static_cast<uint8_t>(opcode & ~BPF_X);
  const Key key = KeyOf(Operation::kCompare, detail, a, b);
  ComparisonLine& line = comparisons_[HashOf(key) & (kComparisonLines - 1)];
  if (line.key != key) line = {key, ComputeComparison(detail, a, b)};
  return line.result;
}

// Decided when it is so for every pair of members.
Outcome NumberTable::Decide(uint8_t opcode, Scalar a, Scalar b) const {
  const uint8_t op = opcode & 0xf0;
  const bool wide = IsWide(opcode);
  if (!HasSet(a) && !HasSet(b)) return reachability::Decide(op, wide, NumberOf(a), NumberOf(b));
  ValueSet lefts, rights;
  const bool few_left = Members(a, lefts), few_right = Members(b, rights);
  const Number left = NumberOf(a), right = NumberOf(b);
  bool never = true, always = true;
  for (size_t i = 0; i < (few_left ? lefts.size() : 1u); ++i) {
    for (size_t j = 0; j < (few_right ? rights.size() : 1u); ++j) {
      const Outcome outcome =
          reachability::Decide(op, wide, few_left ? Number::Const(lefts.begin()[i]) : left,
                               few_right ? Number::Const(rights.begin()[j]) : right);
      never = never && outcome == Outcome::kNever;
      always = always && outcome == Outcome::kAlways;
    }
  }
  return never ? Outcome::kNever : always ? Outcome::kAlways : Outcome::kEither;
}

// Leaves of the few numbers that `scalar` may be those that can go this way. False: none can.
bool NumberTable::RefineMembers(uint8_t opcode, bool taken, Scalar other, bool is_left,
                                Scalar& scalar) {
  if (!HasSet(scalar)) return true;
  ValueSet members, kept;
  Members(scalar, members);
  const Outcome contrary = taken ? Outcome::kNever : Outcome::kAlways;
  for (const uint64_t member : members) {
    const Scalar one = Scalar::Const(member);
    if (Decide(opcode, is_left ? one : other, is_left ? other : one) != contrary) kept.Add(member);
  }
  if (kept.empty()) return false;
  scalar = OneOf(kept);
  return true;
}

Comparison NumberTable::ComputeComparison(uint8_t opcode, Scalar a, Scalar b) {
  Comparison result{.outcome = Decide(opcode, a, b), .left = {a, a}, .right = {b, b}};
  if (result.outcome != Outcome::kEither) {
    result.possible = {result.outcome == Outcome::kNever, result.outcome == Outcome::kAlways};
    return result;
  }
  for (const bool taken : {false, true}) {
    Scalar& left = result.left[taken];
    Scalar& right = result.right[taken];
    // Of a few members, those that go this way; there are some, or the outcome were decided.
    result.possible[taken] = RefineMembers(opcode, taken, b, true, left) &&
                             RefineMembers(opcode, taken, a, false, right);
    Number x = NumberOf(a), y = NumberOf(b);
    // Where bounds and bits turn out to contradict each other no number goes this way. The verifier
    // does not see that beforehand and walks on (reg_bounds_sanity_check()), and so do we.
    if (!Refine(opcode & 0xf0, IsWide(opcode), taken, x, y)) continue;
    if (!HasSet(a) && !a.is_const) left = Make(x);
    if (!HasSet(b) && !b.is_const) right = Make(y);
  }
  return result;
}

Scalar NumberTable::Join(Scalar a, Scalar b) {
  if (a == b) return a;
  if (a.IsAny() || b.IsAny()) return Scalar();
  return Remember(KeyOf(Operation::kJoin, 0, a, b), [&] { return ComputeJoin(a, b); });
}

Scalar NumberTable::ComputeJoin(Scalar a, Scalar b) {
  ValueSet all, more;
  if (Members(a, all) && Members(b, more) &&
      std::all_of(more.begin(), more.end(), [&](uint64_t x) { return all.Add(x); })) {
    return OneOf(all);
  }
  return Make(reachability::Join(NumberOf(a), NumberOf(b)));
}

Scalar NumberTable::Widen(Scalar before, Scalar next) {
  if (before == next) return before;
  return Make(reachability::Widen(NumberOf(before), NumberOf(next)));
}

bool NumberTable::Covers(Scalar big, Scalar small) const {
  if (big == small || big.IsAny()) return true;
  if (big.is_const) return false;
  const Entry& entry = entries_[big.payload];
  const auto holds = [&](uint64_t x) {
    return entry.set != 0 ? sets_.Of(entry.set).Contains(x) : entry.number.Contains(x);
  };
  if (small.is_const) return holds(small.payload);
  const Entry& other = entries_[small.payload];
  if (other.set != 0) {
    const ValueSet& members = sets_.Of(other.set);
    return std::all_of(members.begin(), members.end(), holds);
  }
  return entry.set == 0 && reachability::Join(entry.number, other.number) == entry.number;
}

}  // namespace bonsai::reachability
