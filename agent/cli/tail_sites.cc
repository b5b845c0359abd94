// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/tail_sites.h"

#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <optional>

#include "agent/reachability/insn.h"

namespace bonsai::cli {
namespace {

using object::Function;
using object::Insn;
using object::Ref;
using object::RefKind;
using reachability::Flow;
using reachability::FlowOf;

constexpr int kRegisters = 16;  // as many as an instruction can name

// What a register is known to hold.
struct Known {
  std::optional<uint32_t> map;
  std::optional<uint32_t> number;
};
using Registers = std::array<Known, kRegisters>;

bool IsTailCall(const Insn& insn) {
  return insn.opcode == (BPF_JMP | BPF_CALL) && insn.src == 0 && insn.imm == BPF_FUNC_tail_call;
}

std::vector<bool> JumpTargets(const Function& function) {
  std::vector<bool> targets(function.insns.size(), false);
  for (uint32_t slot = 0; slot < function.insns.size(); ++slot) {
    const Insn& insn = function.insns[slot];
    const Flow flow = FlowOf(insn);
    if (flow == Flow::kJump || flow == Flow::kBranch || flow == Flow::kMayGoto) {
      const int64_t target = reachability::TargetOf(insn, slot);
      if (target >= 0 && target < static_cast<int64_t>(targets.size())) targets[target] = true;
    }
    if (reachability::IsLoadImm64(insn)) ++slot;
  }
  return targets;
}

Known LoadImm64(const Insn& insn, const Ref* ref) {
  if (ref == nullptr) return insn.src == 0 ? Known{{}, static_cast<uint32_t>(insn.imm)} : Known{};
  return ref->kind == RefKind::kMap ? Known{ref->index, {}} : Known{};
}

// The effect on registers of an instruction that neither jumps nor calls.
void Step(const Insn& insn, const Ref* ref, Registers& registers) {
  const uint8_t kind = reachability::ClassOf(insn);
  if (kind == BPF_ST) return;
  if (kind == BPF_STX) {
    const bool atomic = reachability::ModeOf(insn) == BPF_ATOMIC;
    // A fetch writes its source register, a load-acquire its destination, an exchange maybe r0.
    if (atomic) registers[insn.src] = registers[insn.dst] = registers[0] = {};
    return;
  }
  Known& target = registers[insn.dst];
  if (reachability::IsLoadImm64(insn)) {
    target = LoadImm64(insn, ref);
    return;
  }
  const bool is_alu = kind == BPF_ALU || kind == BPF_ALU64;
  const bool is_move = is_alu && reachability::OpOf(insn) == BPF_MOV && insn.offset == 0 &&
                       ref == nullptr;
  if (!is_move) {
    target = {};
  } else if (!reachability::UsesRegister(insn)) {
    target = {{}, static_cast<uint32_t>(insn.imm)};
  } else if (kind == BPF_ALU64) {
    target = Known(registers[insn.src]);
  } else {
    target = {{}, registers[insn.src].number};
  }
}

// What the next instruction finds, if it is reached from this one.
void Follow(const Insn& insn, const Ref* ref, Registers& registers) {
  const Flow flow = FlowOf(insn);
  if (flow == Flow::kBranch || flow == Flow::kMayGoto) return;
  const uint8_t kind = reachability::ClassOf(insn);
  const bool is_call = flow == Flow::kCall || (flow == Flow::kNext && kind == BPF_JMP);
  const bool is_packet_load = kind == BPF_LD && !reachability::IsLoadImm64(insn);
  if (is_call || is_packet_load) {
    for (int i = 0; i <= 5; ++i) registers[i] = {};
  } else if (flow == Flow::kNext) {
    Step(insn, ref, registers);
  } else {
    registers = {};
  }
}

}  // namespace

std::vector<TailSite> TailSites(const Function& function) {
  std::vector<TailSite> sites;
  if (std::none_of(function.insns.begin(), function.insns.end(), IsTailCall)) return sites;
  const std::vector<bool> targets = JumpTargets(function);
  Registers registers;
  auto ref = function.refs.begin();
  for (uint32_t slot = 0; slot < function.insns.size(); ++slot) {
    const Insn& insn = function.insns[slot];
    while (ref != function.refs.end() && ref->slot < slot) ++ref;
    const Ref* here = ref != function.refs.end() && ref->slot == slot ? &*ref : nullptr;
    if (targets[slot]) registers = {};
    if (IsTailCall(insn) && registers[2].map && registers[3].number) {
      sites.push_back({slot, *registers[2].map, *registers[3].number});
    }
    Follow(insn, here, registers);
    if (reachability::IsLoadImm64(insn)) ++slot;
  }
  return sites;
}

}  // namespace bonsai::cli
