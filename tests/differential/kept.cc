// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/kept.h"

#include <bpf/bpf.h>

namespace bonsai::differential {
namespace {

constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;

bool IsTailCall(const bpf_insn& insn) {
  return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0 && insn.imm == BPF_FUNC_tail_call;
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

// The only map that the tail call at `at` can use, by its fd; -1 when it is not the only one.
int OnlyMapAt(const std::vector<bpf_insn>& insns, const std::vector<std::vector<size_t>>& before,
              size_t at) {
  int only = -1;
  for (const size_t write : LastWrites(insns, before, at, BPF_REG_2)) {
    const bpf_insn& insn = insns[write];
    if (insn.code != kLoadImm64 || insn.src_reg != BPF_PSEUDO_MAP_FD) return -1;
    if (only >= 0 && only != insn.imm) return -1;
    only = insn.imm;
  }
  return only;
}

}  // namespace

TailQuestions AskOfTailCalls(const std::vector<bpf_insn>& insns) {
  TailQuestions questions;
  const auto before = Predecessors(insns);
  for (size_t slot = 0; slot < insns.size(); ++slot) {
    if (!IsTailCall(insns[slot])) continue;
    const int fd = OnlyMapAt(insns, before, slot);
    bpf_map_info map{};
    uint32_t size = sizeof(map);
    if (fd < 0 || bpf_map_get_info_by_fd(fd, &map, &size) != 0 || map.max_entries > kMostSlots) {
      questions.unknown.push_back(slot);
      continue;
    }
    for (uint32_t value = 0; value < map.max_entries; ++value) {
      questions.probes.push_back({.slot = slot, .reg = BPF_REG_3, .value = value});
      questions.maps.push_back(map.id);
    }
  }
  return questions;
}

References ReferencesOf(const Verdict& verdict, const TailQuestions& questions,
                        const std::map<uint32_t, std::string>& map_names) {
  References kept;
  for (const bpf_insn& insn : verdict.translated) {
    if (insn.code != kLoadImm64 || insn.src_reg != BPF_PSEUDO_MAP_FD) continue;
    const auto found = map_names.find(static_cast<uint32_t>(insn.imm));
    if (found != map_names.end()) kept.maps.insert(found->second);
  }
  for (size_t i = 0; i < questions.probes.size(); ++i) {
    if (!verdict.answers[i]) continue;
    kept.tail_calls.emplace(map_names.at(questions.maps[i]), questions.probes[i].value);
  }
  for (const size_t slot : questions.unknown) {
    kept.unknown_tail_call |= verdict.fates[slot] == Fate::kKept;
  }
  return kept;
}

}  // namespace bonsai::differential
