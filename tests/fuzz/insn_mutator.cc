// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/insn_mutator.h"

#include <elf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace bonsai::fuzz {
namespace {

constexpr int32_t kImmediates[] = {0, 1, -1, 2, 7, 8, 12, 16, 31, 32, 63, 64, 127, 128, 255, 256,
                                   0x7fff, 0x8000, 0xffff, 0x10000, INT32_MAX, INT32_MIN};
constexpr int32_t kAtomics[] = {BPF_ADD, BPF_AND, BPF_OR, BPF_XOR, BPF_ADD | BPF_FETCH,
                                BPF_XOR | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG, 0x100, 0x110};
// Those that take anything are more likely; Idiom() sets up some of the others.
constexpr int32_t kHelpers[] = {BPF_FUNC_get_prandom_u32, BPF_FUNC_get_prandom_u32,
                                BPF_FUNC_get_prandom_u32, BPF_FUNC_ktime_get_ns,
                                BPF_FUNC_ktime_get_ns, BPF_FUNC_map_lookup_elem, BPF_FUNC_map_update_elem,
                                BPF_FUNC_get_prandom_u32, BPF_FUNC_tail_call, BPF_FUNC_loop,
                                BPF_FUNC_for_each_map_elem, BPF_FUNC_skb_load_bytes,
                                BPF_FUNC_timer_set_callback, BPF_FUNC_ktime_get_ns};

constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr uint8_t kMemSx = 0x80;

template <size_t N>
int32_t OneOf(const int32_t (&list)[N], Random& random) {
  return list[random() % N];
}

int32_t Immediate(Random& random) {
  return random() % 4 == 0 ? static_cast<int32_t>(random()) : OneOf(kImmediates, random);
}

// Forward more often than back.
int16_t SmallOffset(Random& random) {
  return static_cast<int16_t>(random() % 8 == 0 ? -1 - static_cast<int>(random() % 8) : random() % 12);
}

int16_t StackOffset(Random& random) {
  const int step = random() % 4 == 0 ? 1 : 8;
  return static_cast<int16_t>(-step * static_cast<int>(1 + random() % 6));
}

Insn RandomAlu(Random& random) {
  const uint8_t op = (random() % 14) << 4;  // BPF_ADD .. BPF_END
  const uint8_t kind = random() % 2 ? BPF_ALU64 : BPF_ALU;
  Insn insn{.opcode = static_cast<uint8_t>(kind | op | (random() % 2 ? BPF_X : BPF_K)),
            .dst = static_cast<uint8_t>(random() % 10), .src = static_cast<uint8_t>(random() % 10),
            .imm = Immediate(random)};
  constexpr std::array<int16_t, 5> kWidths{0, 0, 8, 16, 32};
  if (op == BPF_MOV && (insn.opcode & BPF_X)) insn.offset = kWidths[random() % kWidths.size()];
  if (op == BPF_DIV || op == BPF_MOD) insn.offset = random() % 2;
  if (op == BPF_END) insn.imm = 16 << random() % 3;
  if (op == BPF_NEG || (op == BPF_END && kind == BPF_ALU64)) insn.opcode &= ~BPF_X;
  const bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
  if (shift && !(insn.opcode & BPF_X)) insn.imm = random() % (kind == BPF_ALU64 ? 64 : 32);
  return insn;
}

Insn RandomJump(Random& random) {
  uint8_t op = (random() % 15) << 4;  // all there are, exit and may_goto too
  if ((op == BPF_EXIT || op == BPF_CALL) && random() % 4 != 0) op = BPF_JEQ;
  const uint8_t kind = random() % 2 ? BPF_JMP : BPF_JMP32;
  Insn insn{.opcode = static_cast<uint8_t>(kind | op | (random() % 2 ? BPF_X : BPF_K)),
            .dst = static_cast<uint8_t>(random() % 10), .src = static_cast<uint8_t>(random() % 10),
            .offset = SmallOffset(random), .imm = Immediate(random)};
  if (op == BPF_JA || op == BPF_EXIT || op == 0xe0) insn.opcode &= ~BPF_X;
  if (op == BPF_JA) insn.imm = insn.offset;
  if (op == 0xe0) {
    insn.opcode = BPF_JMP | 0xe0;
    insn.src = 0;
  }
  if (op != BPF_CALL) return insn;
  insn.opcode = BPF_JMP | BPF_CALL;
  insn.src = random() % 8 == 0 ? random() % 3 : 0;
  insn.imm = insn.src == 0 ? OneOf(kHelpers, random) : static_cast<int32_t>(random() % 4);
  return insn;
}

// Most memory there is to reach is the stack.
Insn RandomMemory(Random& random) {
  const auto other = static_cast<uint8_t>(random() % 11);
  const auto base = static_cast<uint8_t>(random() % 32 == 0 ? random() % 11 : 10);
  const uint8_t size = (random() % 4) << 3;
  const int16_t offset = StackOffset(random);
  const auto opcode = [&](uint8_t kind, uint8_t mode) {
    return static_cast<uint8_t>(kind | size | mode);
  };
  switch (random() % 6) {
    case 0:
      return {.opcode = kLoadImm64, .dst = static_cast<uint8_t>(random() % 10),
              .src = static_cast<uint8_t>(random() % 6), .imm = Immediate(random)};
    case 1: case 2: {
      const bool extends = size != BPF_DW && random() % 3 == 0;
      return {.opcode = opcode(BPF_LDX, extends ? kMemSx : BPF_MEM),
              .dst = static_cast<uint8_t>(other % 10), .src = base, .offset = offset};
    }
    case 3:
      return {.opcode = opcode(BPF_ST, BPF_MEM), .dst = base, .offset = offset,
              .imm = Immediate(random)};
    case 4:
      return {.opcode = opcode(BPF_STX, BPF_MEM), .dst = base, .src = other, .offset = offset};
    default:
      return {.opcode = static_cast<uint8_t>(BPF_STX | BPF_ATOMIC | (random() % 2 ? BPF_DW : BPF_W)),
              .dst = base, .src = static_cast<uint8_t>(other % 10), .offset = offset,
              .imm = OneOf(kAtomics, random)};
  }
}

}  // namespace

Insn RandomInsn(Random& random) {
  switch (random() % 4) {
    case 0: case 1: return RandomAlu(random);
    case 2: return RandomJump(random);
    default: return RandomMemory(random);
  }
}

void MutateInsns(std::span<Insn> code, Random& random) {
  if (code.empty()) return;
  const size_t at = random() % code.size(), other = random() % code.size();
  Insn& insn = code[at];
  switch (random() % 10) {
    case 9: {
      const std::vector<Insn> idiom = Idiom(random);
      std::copy_n(idiom.begin(), std::min(idiom.size(), code.size() - at), code.begin() + static_cast<ptrdiff_t>(at));
      return;
    }
    case 0: case 1: insn = RandomInsn(random); return;
    case 2: std::swap(insn, code[other]); return;
    case 3: insn = code[other]; return;
    case 4: insn.imm = Immediate(random); return;
    case 5: insn.offset = random() % 2 ? SmallOffset(random) : StackOffset(random); return;
    case 6: insn.dst = random() % 11; return;
    case 7: insn.src = random() % 11; return;
    default:  // room for one more
      std::rotate(code.begin() + std::min(at, other), code.end() - 1, code.end());
      code[std::min(at, other)] = RandomInsn(random);
  }
}

bool MutateElfCode(std::span<uint8_t> file, Random& random) {
  Elf64_Ehdr header;
  if (file.size() < sizeof(header)) return false;
  std::memcpy(&header, file.data(), sizeof(header));
  std::vector<Elf64_Shdr> code;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    const uint64_t at = header.e_shoff + i * sizeof(section);
    if (at > file.size() || file.size() - at < sizeof(section)) break;
    std::memcpy(&section, file.data() + at, sizeof(section));
    const bool inside = section.sh_offset <= file.size() &&
                        section.sh_size <= file.size() - section.sh_offset;
    if (inside && section.sh_size >= sizeof(Insn) && (section.sh_flags & SHF_EXECINSTR)) {
      code.push_back(section);
    }
  }
  if (code.empty()) return false;
  const Elf64_Shdr& chosen = code[random() % code.size()];
  std::vector<Insn> insns(chosen.sh_size / sizeof(Insn));
  uint8_t* bytes = file.data() + chosen.sh_offset;
  std::memcpy(insns.data(), bytes, insns.size() * sizeof(Insn));
  for (uint32_t left = 1 + random() % 4; left > 0; --left) MutateInsns(insns, random);
  std::memcpy(bytes, insns.data(), insns.size() * sizeof(Insn));
  return true;
}

}  // namespace bonsai::fuzz
