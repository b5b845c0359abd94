// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the domain: whatever the machine computes from members of the operands is a
// member of the result; a branch called decided never goes the other way.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <vector>

#include "tests/unit/reachability/concrete.h"

namespace bonsai::reachability {
namespace {

// rapidcheck's default is 100 cases.
const int kCases = setenv("RC_PARAMS", "max_success=10000", 0);

// The corners where signs and halves meet.
constexpr uint64_t kBases[] = {0, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63};

TEST(Domain, SoundForAllSmallKnownBits) {
  std::vector<Sample> samples;
  for (uint64_t unknown = 0; unknown < 8; ++unknown) {
    for (uint64_t value = 0; value < 8; ++value) {
      if (value & unknown) continue;
      for (const uint64_t high : {uint64_t{0}, ~uint64_t{7}, uint64_t{0x80000000}}) {
        Sample sample;
        sample.number.bits = {high | value, unknown};
        ASSERT_TRUE(sample.number.Settle());
        for (uint64_t x = 0; x < 8; ++x) {
          if ((x & ~unknown) == value) sample.members.push_back(high | x);
        }
        samples.push_back(sample);
      }
    }
  }
  for (const Sample& a : samples) {
    ASSERT_EQ(CheckOne(a), "");
    for (const Sample& b : samples) ASSERT_EQ(CheckPair(a, b), "");
  }
}

TEST(Domain, SoundForAllSmallRanges) {
  std::vector<Sample> samples;
  for (const uint64_t base : kBases) {
    for (int low = -3; low < 3; ++low) {
      for (int high = low; high < 3; ++high) {
        Sample sample{.number = Number::Const(base + static_cast<uint64_t>(int64_t{low}))};
        for (int x = low; x <= high; ++x) {
          sample.members.push_back(base + static_cast<uint64_t>(int64_t{x}));
          sample.number = Join(sample.number, Number::Const(sample.members.back()));
        }
        ASSERT_TRUE(sample.number.Settle());
        samples.push_back(sample);
      }
    }
  }
  for (const Sample& a : samples) {
    ASSERT_EQ(CheckOne(a), "");
    for (const Sample& b : samples) ASSERT_EQ(CheckPair(a, b), "");
  }
}

// Numbers near what matters: powers of two, their neighbours and negatives; or any.
rc::Gen<uint64_t> Interesting() {
  return rc::gen::map(
      rc::gen::tuple(rc::gen::inRange(0, 64), rc::gen::inRange(-2, 3), rc::gen::inRange(0, 3),
                     rc::gen::arbitrary<uint64_t>()),
      [](const std::tuple<int, int, int, uint64_t>& parts) {
        const auto& [shift, delta, sort, any] = parts;
        const uint64_t near = (uint64_t{1} << shift) + static_cast<uint64_t>(int64_t{delta});
        return sort == 0 ? any : sort == 1 ? near : -near;
      });
}

// The join of a few numbers, then narrowed by a comparison that all of them pass.
Sample AnySample() {
  const auto size = *rc::gen::inRange<size_t>(1, 6);
  Sample sample{.members = *rc::gen::container<std::vector<uint64_t>>(size, Interesting())};
  sample.number = Number::Const(sample.members[0]);
  for (const uint64_t member : sample.members) {
    sample.number = Join(sample.number, Number::Const(member));
  }
  if (*rc::gen::arbitrary<bool>()) {
    const Sample other{.number = sample.number, .members = sample.members};
    sample.number = Widen(other.number, Number::Const(*Interesting()));
  }
  const uint8_t op =
      *rc::gen::elementOf(std::vector<uint8_t>(std::begin(kJumpOps), std::end(kJumpOps)));
  const bool wide = *rc::gen::arbitrary<bool>();
  const uint64_t limit = *Interesting();
  const bool first = Holds(op, wide, sample.members[0], limit);
  std::erase_if(sample.members, [&](uint64_t x) { return Holds(op, wide, x, limit) != first; });
  Number b = Number::Const(limit);
  RC_ASSERT(Refine(op, wide, first, sample.number, b));
  return sample;
}

TEST(Domain, SoundForRandomNumbers) {
  const bool sound = rc::check("results hold what the machine computes", [] {
    const Sample a = AnySample(), b = AnySample();
    RC_ASSERT(CheckOne(a) == "");
    RC_ASSERT(CheckPair(a, b) == "");
  });
  EXPECT_TRUE(sound);
}

TEST(Domain, JoinAndWidenHoldBothSides) {
  const bool sound = rc::check("joins hold both sides and settle", [] {
    const Sample a = AnySample(), b = AnySample();
    for (const Number& both : {Join(a.number, b.number), Widen(a.number, b.number)}) {
      for (const uint64_t x : a.members) RC_ASSERT(both.Contains(x));
      for (const uint64_t x : b.members) RC_ASSERT(both.Contains(x));
    }
    // Chains of widening are short.
    Number chain = a.number;
    for (int step = 0; step < 12; ++step) {
      chain = Widen(chain, Number::Const(*Interesting()));
    }
    Number before = chain;
    int moves = 0;
    for (int step = 0; step < 40; ++step) {
      chain = Widen(chain, Number::Const(*Interesting()));
      if (!(chain == before)) ++moves;
      before = chain;
    }
    RC_ASSERT(moves < 40);
  });
  EXPECT_TRUE(sound);
}

TEST(Domain, ExactForConstants) {
  const bool exact = rc::check("constants stay constants", [] {
    const uint64_t a = *Interesting(), b = *Interesting();
    for (const bool wide : {true, false}) {
      for (const uint8_t op : {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR, BPF_NEG}) {
        RC_ASSERT(Alu(op, wide, Number::Const(a), Number::Const(b)) ==
                  Number::Const(Compute(op, wide, a, b)));
      }
      const uint64_t shift = b % (wide ? 64 : 32);
      for (const uint8_t op : {BPF_LSH, BPF_RSH, BPF_ARSH}) {
        RC_ASSERT(Alu(op, wide, Number::Const(a), Number::Const(shift)) ==
                  Number::Const(Compute(op, wide, a, shift)));
      }
      for (const uint8_t op : kJumpOps) {
        RC_ASSERT(Decide(op, wide, Number::Const(a), Number::Const(b)) ==
                  (Holds(op, wide, a, b) ? Outcome::kAlways : Outcome::kNever));
      }
    }
  });
  EXPECT_TRUE(exact);
}

// What is known of joined values decides branches, not only single constants.
TEST(Domain, KnownBitsAndRangesDecide) {
  const auto join = [](uint64_t a, uint64_t b) {
    return Join(Number::Const(a), Number::Const(b));
  };
  EXPECT_EQ(Decide(BPF_JEQ, true, join(1, 3), Number::Const(2)), Outcome::kNever);   // bit 0
  EXPECT_EQ(Decide(BPF_JGT, true, join(4, 9), Number::Const(3)), Outcome::kAlways);  // range
  EXPECT_EQ(Decide(BPF_JSLT, true, join(-5, -9), Number::Const(0)), Outcome::kAlways);
  EXPECT_EQ(Decide(BPF_JSLT, false, Low32(join(-5, 3)), Number::Const(4)), Outcome::kAlways);
  const Number masked = Alu(BPF_AND, true, Number::Any(), Number::Const(0xf0));
  EXPECT_EQ(Decide(BPF_JSET, true, masked, Number::Const(0x0f)), Outcome::kNever);
  EXPECT_EQ(Decide(BPF_JEQ, true, Alu(BPF_OR, true, Number::Any(), Number::Const(4)),
                   Number::Const(3)),
            Outcome::kNever);
}

}  // namespace
}  // namespace bonsai::reachability
