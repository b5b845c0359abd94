// SPDX-License-Identifier: Apache-2.0
// What the machine computes, and whether the domain holds it.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/reachability/alu.h"
#include "agent/reachability/compare.h"
#include "agent/reachability/number.h"

namespace bonsai::reachability {

inline constexpr uint8_t kAluOps[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND,
                               BPF_LSH, BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR, BPF_ARSH};
inline constexpr uint8_t kJumpOps[] = {BPF_JEQ, BPF_JGT,  BPF_JGE,  BPF_JSET, BPF_JNE, BPF_JSGT,
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

inline uint64_t Compute(uint8_t op, bool wide, uint64_t a, uint64_t b) {
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

inline bool Holds(uint8_t op, bool wide, uint64_t a, uint64_t b) {
  if (wide) return HoldsIn<uint64_t, int64_t>(op, a, b);
  return HoldsIn<uint32_t, int32_t>(op, static_cast<uint32_t>(a), static_cast<uint32_t>(b));
}

// An abstract number and some of its members.
struct Sample {
  Number number;
  std::vector<uint64_t> members;
};

inline std::string Say(uint8_t op, bool wide, uint64_t a, uint64_t b) {
  return "op " + std::to_string(op) + (wide ? " 64" : " 32") + " a " + std::to_string(a) + " b " +
         std::to_string(b);
}

// "" when all is well; else the first instruction and operands that are not.
inline std::string CheckPair(const Sample& a, const Sample& b) {
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

inline std::string CheckOne(const Sample& a) {
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
    if (!SignExtend(a.number, 16, false).Contains(static_cast<uint32_t>(int32_t{s16})))
      return "w16";
  }
  return "";
}

}  // namespace bonsai::reachability
