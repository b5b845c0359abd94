// SPDX-License-Identifier: Apache-2.0
// NumberTable: the numbers an analysis knows, each once, and what arithmetic and comparisons made
// of them before. Programs do the same few things to the same few numbers, so most answers are
// found, not computed. One analysis, one thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "agent/reachability/compare.h"
#include "agent/reachability/hash_index.h"
#include "agent/reachability/number.h"
#include "agent/reachability/value.h"
#include "agent/reachability/value_sets.h"

namespace bonsai::reachability {

// What a conditional jump tells of its two operands.
struct Comparison {
  Outcome outcome = Outcome::kEither;
  // By direction, not taken and taken: whether it can go that way at all, and what is known then.
  std::array<bool, 2> possible{true, true};
  std::array<Scalar, 2> left, right;
};

class NumberTable {
 public:
  NumberTable();

  Number NumberOf(Scalar scalar) const {
    return scalar.is_const ? Number::Const(scalar.payload) : entries_[scalar.payload].number;
  }
  // Of what is not a constant.
  const Number& PooledNumber(Scalar scalar) const { return entries_[scalar.payload].number; }
  // The few numbers that it may be; false: not few.
  bool Members(Scalar scalar, ValueSet& members) const;
  bool HasSet(Scalar scalar) const { return !scalar.is_const && entries_[scalar.payload].set != 0; }

  Scalar Make(const Number& number);
  // One of `members`; there must be at least one.
  Scalar OneOf(const ValueSet& members);

  // `opcode`: of an ALU or ALU64 instruction, BPF_ADD .. BPF_ARSH and BPF_NEG.
  Scalar Alu(uint8_t opcode, Scalar a, Scalar b) {
    if (a.is_const && b.is_const) return AluOfConstants(opcode, a.payload, b.payload);
    return AluOfNumbers(opcode, a, b);
  }
  Scalar LowBytes(Scalar a, uint32_t size);              // size 1, 2, 4 or 8
  Scalar SignExtend(Scalar a, uint32_t bits, bool wide);  // as alu.h
  Scalar ByteSwap(Scalar a, uint32_t bits);
  // `opcode`: of a conditional jump. Valid until the next call.
  const Comparison& Compare(uint8_t opcode, Scalar a, Scalar b);

  Scalar Join(Scalar a, Scalar b);
  // As Join, but bounds of `next` that moved since `before` give up.
  Scalar Widen(Scalar before, Scalar next);
  // Whether every number of `small` is one of `big`.
  bool Covers(Scalar big, Scalar small) const;

 private:
  struct Entry {
    Number number;
    SetId set = 0;
  };
  struct Key {
    uint64_t a = 0, b = 0;
    uint32_t what = 0;  // 0: an empty line
    bool operator==(const Key&) const = default;
  };
  struct Line {
    Key key;
    Scalar result;
  };
  struct ComparisonLine {
    Key key;
    Comparison result;
  };
  enum class Operation : uint8_t { kAlu = 1, kLowBytes, kSignExtend, kByteSwap, kJoin, kCompare };

  static Key KeyOf(Operation operation, uint32_t detail, Scalar a, Scalar b);
  static size_t HashOf(const Key& key);
  Scalar AluOfConstants(uint8_t opcode, uint64_t a, uint64_t b);
  Scalar AluOfNumbers(uint8_t opcode, Scalar a, Scalar b);
  Scalar ComputeAlu(uint8_t opcode, Scalar a, Scalar b);
  Comparison ComputeComparison(uint8_t opcode, Scalar a, Scalar b);
  Outcome Decide(uint8_t opcode, Scalar a, Scalar b) const;
  bool RefineMembers(uint8_t opcode, bool taken, Scalar other, bool is_left, Scalar& scalar);
  Scalar ComputeJoin(Scalar a, Scalar b);
  Scalar Intern(const Number& number, SetId set);
  // The remembered result, or that of `compute`.
  template <typename Compute>
  Scalar Remember(const Key& key, Compute compute);
  // `operation` on each member when there are few, else on the whole.
  template <typename Compute>
  Scalar Map(Scalar a, Compute operation);

  std::vector<Entry> entries_;
  HashIndex index_;
  ValueSets sets_;
  std::vector<Line> lines_;
  std::vector<ComparisonLine> comparisons_;
};

}  // namespace bonsai::reachability
