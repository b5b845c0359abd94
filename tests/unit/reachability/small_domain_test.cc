// SPDX-License-Identifier: Apache-2.0
// The domain on all small sets: every way to know some of 8 bits, every range of small numbers, at
// every place where signs and halves meet; with all members, not some.
#include <gtest/gtest.h>

#include "tests/unit/reachability/concrete.h"

namespace bonsai::reachability {
namespace {

// All sets given by known bits among the low `bits`, those above as in `high`.
std::vector<Sample> AllKnownBits(uint32_t bits, uint64_t high) {
  std::vector<Sample> samples;
  const uint64_t end = uint64_t{1} << bits;
  for (uint64_t unknown = 0; unknown < end; ++unknown) {
    for (uint64_t value = 0; value < end; ++value) {
      if (value & unknown) continue;
      Sample sample;
      sample.number.bits = {high | value, unknown};
      EXPECT_TRUE(sample.number.Settle());
      for (uint64_t x = 0; x < end; ++x) {
        if ((x & ~unknown) == value) sample.members.push_back(high | x);
      }
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

// All ranges [base + low, base + high] with -size <= low <= high < size.
std::vector<Sample> AllRanges(uint64_t base, int size) {
  std::vector<Sample> samples;
  for (int low = -size; low < size; ++low) {
    Sample sample{.number = Number::Const(base + static_cast<uint64_t>(int64_t{low})),
                  .members = {}};
    for (int high = low; high < size; ++high) {
      sample.members.push_back(base + static_cast<uint64_t>(int64_t{high}));
      sample.number = Join(sample.number, Number::Const(sample.members.back()));
      samples.push_back(sample);
    }
  }
  return samples;
}

constexpr uint64_t kHighs[] = {0, 0x7fffff00, 0xffffff00, 0xffffffff00, 0x7fffffffffffff00,
                               0xffffffffffffff00};
constexpr uint64_t kCorners[] = {0, uint64_t{1} << 7, uint64_t{1} << 8, uint64_t{1} << 31,
                                 uint64_t{1} << 32, uint64_t{1} << 63};

TEST(SmallDomain, OneOperandOfAnyEightBits) {
  for (const uint64_t high : kHighs) {
    for (const Sample& sample : AllKnownBits(8, high)) {
      ASSERT_EQ(CheckOne(sample), "")
          << sample.number.bits.value << "/" << sample.number.bits.unknown;
    }
  }
}

TEST(SmallDomain, OneOperandOfAnySmallRange) {
  for (const uint64_t base : kCorners) {
    for (const Sample& sample : AllRanges(base, 24)) ASSERT_EQ(CheckOne(sample), "");
  }
}

TEST(SmallDomain, EightBitsAgainstConstants) {
  const std::vector<Sample> samples = AllKnownBits(8, 0);
  for (const uint64_t constant :
       {uint64_t{0}, uint64_t{1}, uint64_t{3}, uint64_t{8}, uint64_t{0x55}, uint64_t{0x80},
        uint64_t{0xff}, ~uint64_t{0}, ~uint64_t{0x7f}}) {
    const Sample b{.number = Number::Const(constant), .members = {constant}};
    for (const Sample& a : samples) {
      ASSERT_EQ(CheckPair(a, b), "");
      ASSERT_EQ(CheckPair(b, a), "");
    }
  }
}

TEST(SmallDomain, PairsOfKnownBits) {
  for (const uint64_t high : {uint64_t{0}, ~uint64_t{15}, uint64_t{0x7ffffff0}}) {
    const std::vector<Sample> left = AllKnownBits(4, high), right = AllKnownBits(4, 0);
    for (const Sample& a : left) {
      for (const Sample& b : right) {
        ASSERT_EQ(CheckPair(a, b), "");
        ASSERT_EQ(CheckPair(b, a), "");
      }
    }
  }
}

TEST(SmallDomain, PairsOfRangesAndBits) {
  std::vector<Sample> samples;
  for (const uint64_t base : kCorners) {
    const std::vector<Sample> ranges = AllRanges(base, 3);
    samples.insert(samples.end(), ranges.begin(), ranges.end());
  }
  const std::vector<Sample> bits = AllKnownBits(3, 0);
  samples.insert(samples.end(), bits.begin(), bits.end());
  for (const Sample& a : samples) {
    for (const Sample& b : samples) ASSERT_EQ(CheckPair(a, b), "");
  }
}

// What joins, widens and meets must hold, with all members of both sides at hand.
std::string CheckSets(const Sample& a, const Sample& b) {
  const Number joined = Join(a.number, b.number), widened = Widen(a.number, b.number);
  Number settled = joined;
  if (!settled.Settle() || !(settled == joined)) return "a join does not stay as it is";
  Number met = a.number;
  const bool meets = Intersect(b.number, met);
  for (const Sample* side : {&a, &b}) {
    for (const uint64_t x : side->members) {
      if (!joined.Contains(x)) return "join";
      if (!widened.Contains(x)) return "widen";
    }
  }
  for (const uint64_t x : a.members) {
    const bool common = b.number.Contains(x);
    if (common && (!meets || !met.Contains(x))) return "intersect loses";
  }
  Number again = widened;
  if (!again.Settle()) return "a widened number is empty";
  return "";
}

TEST(SmallDomain, SetsHoldBothSides) {
  std::vector<Sample> samples;
  for (const uint64_t base : kCorners) {
    const std::vector<Sample> ranges = AllRanges(base, 3);
    samples.insert(samples.end(), ranges.begin(), ranges.end());
  }
  for (const uint64_t high : {uint64_t{0}, ~uint64_t{15}}) {
    const std::vector<Sample> bits = AllKnownBits(4, high);
    samples.insert(samples.end(), bits.begin(), bits.end());
  }
  for (const Sample& a : samples) {
    for (const Sample& b : samples) ASSERT_EQ(CheckSets(a, b), "");
  }
}

TEST(SmallDomain, RangesMeetWhereTheyTouchOnly) {
  for (const uint64_t base : {uint64_t{100}, (uint64_t{1} << 32) + 100, ~uint64_t{100}}) {
    const std::vector<Sample> ranges = AllRanges(base, 5);
    for (const Sample& a : ranges) {
      for (const Sample& b : ranges) {
        const bool touch =
            a.members.front() <= b.members.back() && b.members.front() <= a.members.back();
        Number met = a.number;
        ASSERT_EQ(Intersect(b.number, met), touch);
      }
    }
  }
}

// All constants of 8 bits, either sign, with all constants: nothing is lost.
TEST(SmallDomain, ExactForAllPairsOfBytes) {
  for (int x = -128; x < 256; ++x) {
    for (int y = -128; y < 256; ++y) {
      const auto a = static_cast<uint64_t>(int64_t{x}), b = static_cast<uint64_t>(int64_t{y});
      for (const bool wide : {true, false}) {
        for (const uint8_t op : {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR, BPF_NEG}) {
          ASSERT_EQ(Alu(op, wide, Number::Const(a), Number::Const(b)),
                    Number::Const(Compute(op, wide, a, b)));
        }
        for (const uint8_t op : kJumpOps) {
          ASSERT_EQ(Decide(op, wide, Number::Const(a), Number::Const(b)),
                    Holds(op, wide, a, b) ? Outcome::kAlways : Outcome::kNever);
        }
      }
    }
  }
}

}  // namespace
}  // namespace bonsai::reachability
