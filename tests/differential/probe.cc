// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/probe.h"

namespace bonsai::differential {
namespace {

constexpr size_t kProbeInsns = 2;

// How an instruction names another one.
enum class Relative { kNone, kOffset, kImmediate };

Relative RelativeOf(const bpf_insn& insn) {
  const uint8_t kind = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
  if (insn.code == (BPF_LD | BPF_IMM | BPF_DW)) {
    return insn.src_reg == BPF_PSEUDO_FUNC ? Relative::kImmediate : Relative::kNone;
  }
  if (kind != BPF_JMP && kind != BPF_JMP32) return Relative::kNone;
  if (op == BPF_EXIT) return Relative::kNone;
  if (op == BPF_CALL) {
    return insn.src_reg == BPF_PSEUDO_CALL ? Relative::kImmediate : Relative::kNone;
  }
  return insn.code == (BPF_JMP32 | BPF_JA) ? Relative::kImmediate : Relative::kOffset;
}

void Ask(const Probe& probe, std::vector<bpf_insn>& insns) {
  bpf_insn differs{}, may{};
  differs.code = BPF_JMP32 | BPF_JNE | BPF_K;
  differs.dst_reg = probe.reg & 15;
  differs.off = 1;
  differs.imm = static_cast<int32_t>(probe.value);
  may.code = BPF_ALU64 | BPF_MOV | BPF_K;
  may.dst_reg = BPF_REG_0;
  insns.push_back(differs);
  insns.push_back(may);
}

}  // namespace

Probed PutIn(const std::vector<bpf_insn>& insns, const std::vector<Probe>& probes) {
  Probed out;
  std::vector<size_t> start(insns.size() + 1);  // what a jump to a slot goes to: its questions
  size_t next = 0;
  for (size_t slot = 0; slot < insns.size(); ++slot) {
    start[slot] = out.insns.size();
    for (; next < probes.size() && probes[next].slot == slot; ++next) {
      Ask(probes[next], out.insns);
      out.answers.push_back(out.insns.size() - kProbeInsns + 1);
    }
    out.place.push_back(out.insns.size());
    out.insns.push_back(insns[slot]);
  }
  start[insns.size()] = out.insns.size();
  for (size_t slot = 0; slot < insns.size(); ++slot) {
    bpf_insn& insn = out.insns[out.place[slot]];
    const Relative relative = RelativeOf(insn);
    if (relative == Relative::kNone) continue;
    const int64_t distance = relative == Relative::kOffset ? insn.off : insn.imm;
    const int64_t target = static_cast<int64_t>(slot) + 1 + distance;
    if (target < 0 || target > static_cast<int64_t>(insns.size())) continue;
    const int64_t moved = static_cast<int64_t>(start[static_cast<size_t>(target)]) -
                          static_cast<int64_t>(out.place[slot]) - 1;
    if (relative == Relative::kOffset) {
      insn.off = static_cast<int16_t>(moved);
    } else {
      insn.imm = static_cast<int32_t>(moved);
    }
  }
  return out;
}

}  // namespace bonsai::differential
