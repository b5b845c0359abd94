// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/concrete_alu.h"

#include <linux/bpf.h>

namespace bonsai::fuzz {
namespace {

using object::Insn;
using Result = std::optional<uint64_t>;

uint64_t Swapped(uint64_t value, uint32_t bits) {
  return __builtin_bswap64(value) >> (64 - bits);
}

uint64_t LowBits(uint64_t value, uint32_t bits) {
  return bits == 64 ? value : value & ((uint64_t{1} << bits) - 1);
}

Result EndOf(const Insn& insn, bool wide, uint64_t dst) {
  const auto bits = static_cast<uint32_t>(insn.imm);
  const bool to_big = (insn.opcode & BPF_X) != 0;
  if ((bits != 16 && bits != 32 && bits != 64) || (wide && to_big) || insn.offset != 0) return {};
  return wide || to_big ? Swapped(dst, bits) : LowBits(dst, bits);
}

// Signed and unsigned, of operands that are as wide as they are said to be.
template <typename Signed, typename Unsigned>
Result Divide(const Insn& insn, Unsigned dst, Unsigned src) {
  const bool modulo = (insn.opcode & 0xf0) == BPF_MOD;
  if (insn.offset != 0 && insn.offset != 1) return {};
  if (src == 0) {
    if (!(insn.opcode & BPF_X)) return {};
    return modulo ? dst : 0;
  }
  if (insn.offset == 0) return modulo ? dst % src : dst / src;
  if (src == static_cast<Unsigned>(-1)) return modulo ? 0 : static_cast<Unsigned>(0 - dst);
  const auto x = static_cast<Signed>(dst), y = static_cast<Signed>(src);
  return static_cast<Unsigned>(modulo ? x % y : x / y);
}

Result Move(const Insn& insn, bool wide, uint64_t src) {
  if (insn.offset == 0) return src;
  const bool fits = insn.offset == 8 || insn.offset == 16 || (wide && insn.offset == 32);
  if (!fits || !(insn.opcode & BPF_X)) return {};
  return SignExtended(src, static_cast<uint32_t>(insn.offset));
}

template <typename Signed, typename Unsigned>
Result Compute(const Insn& insn, Unsigned dst, Unsigned src) {
  constexpr uint32_t kBits = sizeof(Unsigned) * 8;
  const uint8_t op = insn.opcode & 0xf0;
  if (op == BPF_DIV || op == BPF_MOD) return Divide<Signed, Unsigned>(insn, dst, src);
  if (op == BPF_MOV) return Move(insn, kBits == 64, src);
  if (insn.offset != 0) return {};
  const bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
  if (shift && !(insn.opcode & BPF_X) && src >= kBits) return {};
  const uint32_t by = src & (kBits - 1);
  switch (op) {
    case BPF_ADD: return static_cast<Unsigned>(dst + src);
    case BPF_SUB: return static_cast<Unsigned>(dst - src);
    case BPF_MUL: return static_cast<Unsigned>(dst * src);
    case BPF_OR: return dst | src;
    case BPF_AND: return dst & src;
    case BPF_XOR: return dst ^ src;
    case BPF_LSH: return static_cast<Unsigned>(dst << by);
    case BPF_RSH: return static_cast<Unsigned>(dst >> by);
    case BPF_ARSH: return static_cast<Unsigned>(static_cast<Signed>(dst) >> by);
    case BPF_NEG: return insn.opcode & BPF_X ? Result() : static_cast<Unsigned>(0 - dst);
    default: return {};
  }
}

template <typename Signed, typename Unsigned>
std::optional<bool> Compare(uint8_t op, Unsigned a, Unsigned b) {
  const auto x = static_cast<Signed>(a), y = static_cast<Signed>(b);
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
    case BPF_JSET: return (a & b) != 0;
    default: return {};
  }
}

}  // namespace

uint64_t SignExtended(uint64_t value, uint32_t bits) {
  const uint32_t unused = 64 - bits;
  return static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
}

std::optional<uint64_t> ConcreteAlu(const Insn& insn, uint64_t dst, uint64_t src) {
  const bool wide = (insn.opcode & 0x07) == BPF_ALU64;
  if ((insn.opcode & 0xf0) == BPF_END) return EndOf(insn, wide, dst);
  if (wide) return Compute<int64_t, uint64_t>(insn, dst, src);
  const Result result = Compute<int32_t, uint32_t>(insn, static_cast<uint32_t>(dst),
                                                   static_cast<uint32_t>(src));
  if (!result) return result;
  return static_cast<uint32_t>(*result);
}

std::optional<bool> ConcreteCompare(const Insn& insn, uint64_t dst, uint64_t src) {
  const uint8_t op = insn.opcode & 0xf0;
  if ((insn.opcode & 0x07) == BPF_JMP) return Compare<int64_t, uint64_t>(op, dst, src);
  return Compare<int32_t, uint32_t>(op, static_cast<uint32_t>(dst), static_cast<uint32_t>(src));
}

}  // namespace bonsai::fuzz
