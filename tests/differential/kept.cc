// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/kept.h"

#include <optional>

#include "tests/differential/image.h"

namespace bonsai::differential {
namespace {

using MapNames = std::map<uint32_t, std::string>;

constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;

bool IsTailCall(const bpf_insn& insn) {
  return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0 && insn.imm == BPF_FUNC_tail_call;
}

const std::string* MapOf(const bpf_insn& insn, const MapNames& names) {
  if (insn.code != kLoadImm64 || insn.src_reg != BPF_PSEUDO_MAP_FD) return nullptr;
  const auto found = names.find(static_cast<uint32_t>(insn.imm));
  return found == names.end() ? nullptr : &found->second;
}

// The register that `insn` copies to `wanted`, `wanted` when it leaves that alone, -1 when it
// makes it.
int ComesFrom(const bpf_insn& insn, int wanted) {
  const uint8_t kind = BPF_CLASS(insn.code);
  const bool second_half = insn.code == 0;
  const bool call = kind == BPF_JMP && BPF_OP(insn.code) == BPF_CALL && wanted <= BPF_REG_5;
  const bool other = kind == BPF_ST || kind == BPF_STX || kind == BPF_JMP || kind == BPF_JMP32;
  if (call) return -1;
  if (second_half || other || insn.dst_reg != wanted) return wanted;
  return insn.code == (BPF_ALU64 | BPF_MOV | BPF_X) ? insn.src_reg : -1;
}

// Where what `reg` holds before `at` may have been made, through moves between registers.
std::set<size_t> LastWrites(const std::vector<bpf_insn>& insns,
                            const std::vector<std::vector<size_t>>& before, size_t at, int reg) {
  std::set<size_t> writes;
  std::set<std::pair<size_t, int>> seen;
  std::vector<std::pair<size_t, int>> left{{at, reg}};
  while (!left.empty()) {
    const auto [i, wanted] = left.back();
    left.pop_back();
    for (const size_t previous : before[i]) {
      const int next = ComesFrom(insns[previous], wanted);
      if (next < 0) {
        writes.insert(previous);
      } else if (seen.emplace(previous, next).second) {
        left.emplace_back(previous, next);
      }
    }
  }
  return writes;
}

// Maps and slots of the tail call at `at`; nothing when some of them is not a constant.
std::optional<std::set<std::pair<std::string, uint32_t>>> TailCallsAt(
    const std::vector<bpf_insn>& insns, const std::vector<std::vector<size_t>>& before, size_t at,
    const MapNames& names) {
  const std::set<size_t> maps = LastWrites(insns, before, at, BPF_REG_2);
  std::set<std::pair<std::string, uint32_t>> calls;
  for (const size_t slot : LastWrites(insns, before, at, BPF_REG_3)) {
    const uint8_t kind = BPF_CLASS(insns[slot].code);
    const bool move = (kind == BPF_ALU || kind == BPF_ALU64) &&
                      BPF_OP(insns[slot].code) == BPF_MOV && BPF_SRC(insns[slot].code) == BPF_K;
    for (const size_t map : maps) {
      const std::string* name = MapOf(insns[map], names);
      if (!move || name == nullptr) return std::nullopt;
      calls.emplace(*name, static_cast<uint32_t>(insns[slot].imm));
    }
  }
  return calls;
}

}  // namespace

References ReferencesOf(const std::vector<bpf_insn>& translated, const MapNames& names) {
  References kept;
  const auto before = Predecessors(translated);
  for (size_t i = 0; i < translated.size(); ++i) {
    if (const std::string* map = MapOf(translated[i], names)) kept.maps.insert(*map);
    if (!IsTailCall(translated[i])) continue;
    if (const auto calls = TailCallsAt(translated, before, i, names)) {
      kept.tail_calls.insert(calls->begin(), calls->end());
    } else {
      kept.unknown_tail_call = true;
    }
  }
  return kept;
}

}  // namespace bonsai::differential
