// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the domain: whatever the machine computes from members of the operands is a
// member of the result; a branch called decided never goes the other way.
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <vector>

#include "agent/reachability/alu.h"
#include "agent/reachability/compare.h"
#include "agent/reachability/number.h"

namespace bonsai::reachability {
namespace {

// rapidcheck's default is 100 cases.
const int kCases = setenv("RC_PARAMS", "max_success=10000", 0);

constexpr uint8_t kAluOps[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND,
                               BPF_LSH, BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR, BPF_ARSH};
constexpr uint8_t kJumpOps[] = {BPF_JEQ, BPF_JGT,  BPF_JGE,  BPF_JSET, BPF_JNE, BPF_JSGT,
                                BPF_JSGE, BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE};

template <typename T, typename S>
T ComputeIn(uint8_t op, T a, T b) {
  constexpr T kMask = sizeof(T) * 8 - 1;
  switch (op) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_DIV: return b == 0 ? 0 : a / b;
    case BPF_MOD: return b == 0 ? a : a % b;
    case BPF_OR: return a | b;
    case BPF_AND: return a & b;
    case BPF_XOR: return a ^ b;
    case BPF_NEG: return -a;
    case BPF_LSH: return a << (b & kMask);
    case BPF_RSH: return a >> (b & kMask);
    default: return static_cast<T>(static_cast<S>(a) >> (b & kMask));
  }
}

uint64_t Compute(uint8_t op, bool wide, uint64_t a, uint64_t b) {
  if (wide) return ComputeIn<uint64_t, int64_t>(op, a, b);
  return ComputeIn<uint32_t, int32_t>(op, static_cast<uint32_t>(a), static_cast<uint32_t>(b));
}

template <typename T, typename S>
bool HoldsIn(uint8_t op, T a, T b) {
  const S x = static_cast<S>(a), y = static_cast<S>(b);
  switch (op) {
    case BPF_JEQ: return a == b;
    case BPF_JNE: return a != b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    case BPF_JLT: return a < b;
    case BPF_JLE: return a <= b;
    case BPF_JSGT: return x > y;
    case BPF_JSGE: return x >= y;
    case BPF_JSLT: return x < y;
    case BPF_JSLE: return x <= y;
    default: return (a & b) != 0;
  }
}

bool Holds(uint8_t op, bool wide, uint64_t a, uint64_t b) {
  if (wide) return HoldsIn<uint64_t, int64_t>(op, a, b);
  return HoldsIn<uint32_t, int32_t>(op, static_cast<uint32_t>(a), static_cast<uint32_t>(b));
}

// An abstract number and some of its members.
struct Sample {
  Number number;
  std::vector<uint64_t> members;
};

std::string Say(uint8_t op, bool wide, uint64_t a, uint64_t b) {
  return "op " + std::to_string(op) + (wide ? " 64" : " 32") + " a " + std::to_string(a) + " b " +
         std::to_string(b);
}

// "" when all is well; else the first instruction and operands that are not.
std::string CheckPair(const Sample& a, const Sample& b) {
  for (const bool wide : {true, false}) {
    for (const uint8_t op : kAluOps) {
      const Number result = Alu(op, wide, a.number, b.number);
      for (const uint64_t x : a.members) {
        for (const uint64_t y : b.members) {
          if (!result.Contains(Compute(op, wide, x, y))) return "alu " + Say(op, wide, x, y);
        }
      }
    }
    for (const uint8_t op : kJumpOps) {
      const Outcome outcome = Decide(op, wide, a.number, b.number);
      Number refined[2][2] = {{a.number, b.number}, {a.number, b.number}};
      bool possible[2];
      for (const int taken : {0, 1}) {
        possible[taken] = Refine(op, wide, taken != 0, refined[taken][0], refined[taken][1]);
      }
      for (const uint64_t x : a.members) {
        for (const uint64_t y : b.members) {
          const bool holds = Holds(op, wide, x, y);
          const bool decided_wrong = outcome == (holds ? Outcome::kNever : Outcome::kAlways);
          if (decided_wrong || !possible[holds] || !refined[holds][0].Contains(x) ||
              !refined[holds][1].Contains(y)) {
            return "jump " + Say(op, wide, x, y);
          }
        }
      }
    }
  }
  return "";
}

std::string CheckOne(const Sample& a) {
  for (const uint64_t x : a.members) {
    if (!Low32(a.number).Contains(static_cast<uint32_t>(x))) return "low32";
    if (!LowBytes(a.number, 1).Contains(static_cast<uint8_t>(x))) return "low8";
    if (!LowBytes(a.number, 2).Contains(static_cast<uint16_t>(x))) return "low16";
    if (!ByteSwap(a.number, 16).Contains(__builtin_bswap16(static_cast<uint16_t>(x)))) {
      return "swap16";
    }
    if (!ByteSwap(a.number, 32).Contains(__builtin_bswap32(static_cast<uint32_t>(x)))) {
      return "swap32";
    }
    if (!ByteSwap(a.number, 64).Contains(__builtin_bswap64(x))) return "swap64";
    const auto s8 = static_cast<int8_t>(x);
    const auto s16 = static_cast<int16_t>(x);
    const auto s32 = static_cast<int32_t>(x);
    if (!SignExtend(a.number, 8, true).Contains(static_cast<uint64_t>(int64_t{s8}))) return "s8";
    if (!SignExtend(a.number, 16, true).Contains(static_cast<uint64_t>(int64_t{s16}))) return "s16";
    if (!SignExtend(a.number, 32, true).Contains(static_cast<uint64_t>(int64_t{s32}))) return "s32";
    if (!SignExtend(a.number, 8, false).Contains(static_cast<uint32_t>(int32_t{s8}))) return "w8";
    if (!SignExtend(a.number, 16, false).Contains(static_cast<uint32_t>(int32_t{s16}))) return "w16";
  }
  return "";
}

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
  const uint8_t op = *rc::gen::elementOf(std::vector<uint8_t>(std::begin(kJumpOps), std::end(kJumpOps)));
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
