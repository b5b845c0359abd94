// SPDX-License-Identifier: Apache-2.0
// The concrete side is the kernel itself: each instruction is run on many pairs of numbers with
// BPF_PROG_TEST_RUN. What it computes is what our reference computes, and is held by the domain's
// result for any sets that hold the operands.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "agent/base/unique_fd.h"
#include "tests/unit/reachability/concrete.h"

namespace bonsai::reachability {
namespace {

constexpr size_t kPairs = 1024;  // in one run
constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr int kA = BPF_REG_1, kB = BPF_REG_2, kResult = BPF_REG_3, kAt = BPF_REG_6,
              kRound = BPF_REG_7;

struct Pair {
  uint64_t a = 0, b = 0, result = 0;
};
using Pairs = std::vector<Pair>;

bpf_insn Make(int code, int dst, int src, int off, int imm) {
  bpf_insn insn{};
  insn.code = static_cast<uint8_t>(code);
  insn.dst_reg = static_cast<uint8_t>(dst & 15);
  insn.src_reg = static_cast<uint8_t>(src & 15);
  insn.off = static_cast<int16_t>(off);
  insn.imm = imm;
  return insn;
}

// Runs `body`, which makes r3 of r1 and r2, on each pair of a map's value.
class Machine {
 public:
  Machine()
      : map_(bpf_map_create(BPF_MAP_TYPE_ARRAY, "pairs", 4, kPairs * sizeof(Pair), 1, nullptr)) {}

  bool Load(const std::vector<bpf_insn>& body) {
    std::vector<bpf_insn> code{Make(kLoadImm64, kAt, BPF_PSEUDO_MAP_VALUE, 0, map_.get()), {},
                               Make(BPF_ALU64 | BPF_MOV | BPF_K, kRound, 0, 0, 0)};
    const size_t top = code.size();
    code.push_back(Make(BPF_LDX | BPF_MEM | BPF_DW, kA, kAt, offsetof(Pair, a), 0));
    code.push_back(Make(BPF_LDX | BPF_MEM | BPF_DW, kB, kAt, offsetof(Pair, b), 0));
    code.insert(code.end(), body.begin(), body.end());
    code.push_back(Make(BPF_STX | BPF_MEM | BPF_DW, kAt, kResult, offsetof(Pair, result), 0));
    code.push_back(Make(BPF_ALU64 | BPF_ADD | BPF_K, kAt, 0, 0, sizeof(Pair)));
    code.push_back(Make(BPF_ALU64 | BPF_ADD | BPF_K, kRound, 0, 0, 1));
    const int back = static_cast<int>(top) - static_cast<int>(code.size()) - 1;
    code.push_back(Make(BPF_JMP | BPF_JLT | BPF_K, kRound, 0, back, kPairs));
    code.push_back(Make(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0));
    code.push_back(Make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    program_.reset(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "arithmetic", "GPL", code.data(),
                                 code.size(), nullptr));
    return program_.valid();
  }

  // Fills in the results.
  bool Run(Pairs& pairs) {
    for (size_t first = 0; first < pairs.size(); first += kPairs) {
      Pairs part(kPairs);
      const auto begin = pairs.begin() + static_cast<ptrdiff_t>(first);
      const auto size = static_cast<ptrdiff_t>(std::min(kPairs, pairs.size() - first));
      std::copy(begin, begin + size, part.begin());
      const uint32_t key = 0;
      uint8_t packet[64] = {};
      LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet));
      if (bpf_map_update_elem(map_.get(), &key, part.data(), BPF_ANY) != 0 ||
          bpf_prog_test_run_opts(program_.get(), &options) != 0 ||
          bpf_map_lookup_elem(map_.get(), &key, part.data()) != 0) {
        return false;
      }
      std::copy(part.begin(), part.begin() + size, begin);
    }
    return true;
  }

 private:
  base::UniqueFd map_, program_;
};

// r3 = r1 op r2, or what a unary instruction makes of r1.
std::vector<bpf_insn> Arithmetic(int code, int off = 0, int imm = 0) {
  const bool by_register = imm == 0 && BPF_OP(code) != BPF_NEG;
  return {Make(BPF_ALU64 | BPF_MOV | BPF_X, kResult, kA, 0, 0),
          Make(code, kResult, by_register ? kB : 0, off, imm)};
}
// r3 = the instruction applied to a copy of r1.
std::vector<bpf_insn> Moved(int code, int off) { return {Make(code, kResult, kA, off, 0)}; }

std::vector<bpf_insn> Branch(int code) {
  return {Make(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, 1), Make(code, kA, kB, 1, 0),
          Make(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, 0)};
}

uint64_t Nasty(std::mt19937_64& random) {
  const uint64_t near = (uint64_t{1} << (random() % 64)) + random() % 5 - 2;
  switch (random() % 4) {
    case 0: return random();
    case 1: return near;
    case 2: return -near;
    default: return random() % 256;
  }
}

// All pairs of bytes, many of signed ones, and random numbers.
Pairs ManyPairs() {
  Pairs pairs;
  for (int a = -128; a < 256; a += 5) {
    for (int b = -128; b < 256; b += 3) {
      pairs.push_back(
          {.a = static_cast<uint64_t>(int64_t{a}), .b = static_cast<uint64_t>(int64_t{b})});
    }
  }
  for (uint64_t a = 0; a < 256; ++a) {
    for (uint64_t b = 0; b < 256; ++b) pairs.push_back({.a = a, .b = b});
  }
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) pairs.push_back({.a = Nasty(random), .b = Nasty(random)});
  return pairs;
}

// A set that holds `member`: of known bits, or between numbers.
Number SetAround(uint64_t member, std::mt19937_64& random) {
  Number number = Number::Const(member);
  switch (random() % 4) {
    case 0: break;
    case 1:
      number = Number::Any();
      number.bits.unknown = random() & random();
      number.bits.value = member & ~number.bits.unknown;
      EXPECT_TRUE(number.Settle());
      break;
    case 2: number = Join(number, Number::Const(member + random() % 9)); break;
    default: number = Join(number, Number::Const(Nasty(random)));
  }
  EXPECT_TRUE(number.Contains(member));
  return number;
}

class KernelArithmetic : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
  }

  // `reference(a, b)` is what the kernel computes, `abstract(a, b)` holds it.
  template <typename Reference, typename Abstract>
  void Check(const std::string& what, const std::vector<bpf_insn>& body, Reference reference,
             Abstract abstract) {
    ASSERT_TRUE(machine_.Load(body)) << what << ": " << std::strerror(errno);
    Pairs pairs = ManyPairs();
    ASSERT_TRUE(machine_.Run(pairs)) << what;
    std::mt19937_64 random(11);
    for (const Pair& pair : pairs) {
      ASSERT_EQ(pair.result, reference(pair.a, pair.b)) << what << " " << pair.a << ", " << pair.b;
      const Number a = SetAround(pair.a, random), b = SetAround(pair.b, random);
      ASSERT_TRUE(abstract(a, b).Contains(pair.result)) << what << " " << pair.a << ", " << pair.b;
    }
  }

  Machine machine_;
};

TEST_F(KernelArithmetic, AluHoldsWhatTheKernelComputes) {
  for (const bool wide : {true, false}) {
    for (const uint8_t op : kAluOps) {
      const int code = (wide ? BPF_ALU64 : BPF_ALU) | op | (op == BPF_NEG ? 0 : BPF_X);
      Check("op " + std::to_string(code), Arithmetic(code),
            [&](uint64_t a, uint64_t b) { return Compute(op, wide, a, b); },
            [&](const Number& a, const Number& b) { return Alu(op, wide, a, b); });
    }
  }
}

TEST_F(KernelArithmetic, SignExtensionHoldsWhatTheKernelComputes) {
  for (const bool wide : {true, false}) {
    for (const int bits : {8, 16, 32}) {
      if (!wide && bits == 32) continue;
      Check(
          "movsx " + std::to_string(bits),
          Moved((wide ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X, bits),
          [&](uint64_t a, uint64_t) {
            const auto extended =
                static_cast<uint64_t>(static_cast<int64_t>(a << (64 - bits)) >> (64 - bits));
            return wide ? extended : static_cast<uint32_t>(extended);
          },
          [&](const Number& a, const Number&) {
            return SignExtend(a, static_cast<uint32_t>(bits), wide);
          });
    }
  }
}

TEST_F(KernelArithmetic, ByteSwapHoldsWhatTheKernelComputes) {
  for (const int bits : {16, 32, 64}) {
    const auto reference = [&](uint64_t a, uint64_t) {
      return __builtin_bswap64(a) >> (64 - bits);
    };
    const auto abstract = [&](const Number& a, const Number&) {
      return ByteSwap(a, static_cast<uint32_t>(bits));
    };
    Check("swap", Arithmetic(BPF_ALU64 | BPF_END, 0, bits), reference, abstract);
    Check("to big endian", Arithmetic(BPF_ALU | BPF_END | BPF_TO_BE, 0, bits), reference, abstract);
  }
}

TEST_F(KernelArithmetic, MoveHoldsWhatTheKernelComputes) {
  Check("mov32", Moved(BPF_ALU | BPF_MOV | BPF_X, 0),
        [](uint64_t a, uint64_t) { return static_cast<uint32_t>(a); },
        [](const Number& a, const Number&) { return Low32(a); });
  for (const int bytes : {2, 4, 8}) {
    Check(
        "to little endian", Arithmetic(BPF_ALU | BPF_END | BPF_TO_LE, 0, 8 * bytes),
        [&](uint64_t a, uint64_t) { return a << (64 - 8 * bytes) >> (64 - 8 * bytes); },
        [&](const Number& a, const Number&) { return LowBytes(a, static_cast<uint32_t>(bytes)); });
  }
}

TEST_F(KernelArithmetic, BranchesGoWhereTheyMay) {
  for (const bool wide : {true, false}) {
    for (const uint8_t op : kJumpOps) {
      const int code = (wide ? BPF_JMP : BPF_JMP32) | op | BPF_X;
      ASSERT_TRUE(machine_.Load(Branch(code))) << code << ": " << std::strerror(errno);
      Pairs pairs = ManyPairs();
      ASSERT_TRUE(machine_.Run(pairs));
      std::mt19937_64 random(13);
      for (const Pair& pair : pairs) {
        const bool taken = pair.result != 0;
        ASSERT_EQ(taken, Holds(op, wide, pair.a, pair.b))
            << code << " " << pair.a << ", " << pair.b;
        Number a = SetAround(pair.a, random), b = SetAround(pair.b, random);
        const Outcome outcome = Decide(op, wide, a, b);
        ASSERT_NE(outcome, taken ? Outcome::kNever : Outcome::kAlways) << code;
        ASSERT_TRUE(Refine(op, wide, taken, a, b)) << code << " " << pair.a << ", " << pair.b;
        ASSERT_TRUE(a.Contains(pair.a) && b.Contains(pair.b))
            << code << " " << pair.a << ", " << pair.b;
      }
    }
  }
}

}  // namespace
}  // namespace bonsai::reachability
