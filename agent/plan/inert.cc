// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/inert.h"

#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace bonsai::plan {
namespace {

using object::Function;
using object::Insn;
using object::ObjectSpec;
using object::Ref;
using object::RefKind;
using reachability::Liveness;

constexpr uint8_t kClassMask = 0x07, kOpMask = 0xf0;
constexpr uint8_t kLdImm64 = 0x18, kCall = 0x85, kExit = 0x95;
constexpr uint8_t kMovImm32 = 0xb4, kMovReg32 = 0xbc, kMovImm64 = 0xb7, kMovReg64 = 0xbf;
constexpr uint8_t kFrameRegister = 10;
constexpr int kMaxCallDepth = 8;  // the kernel's own limit of frames

const Ref* FindRef(const Function& function, uint32_t slot) {
  auto at = std::lower_bound(function.refs.begin(), function.refs.end(), slot,
                             [](const Ref& ref, uint32_t s) { return ref.slot < s; });
  return at != function.refs.end() && at->slot == slot ? &*at : nullptr;
}

bool IsFunctionCall(const Function& function, uint32_t slot) {
  const Ref* ref = FindRef(function, slot);
  return ref != nullptr && ref->kind == RefKind::kCall;
}

// Helpers that only read, or change how a packet lies in memory and nothing else.
bool OnlyReads(int32_t helper) {
  switch (helper) {
    case BPF_FUNC_ktime_get_ns:
    case BPF_FUNC_ktime_get_boot_ns:
    case BPF_FUNC_jiffies64:
    case BPF_FUNC_get_prandom_u32:
    case BPF_FUNC_get_smp_processor_id:
    case BPF_FUNC_skb_pull_data:
    case BPF_FUNC_csum_diff:
      return true;
    default:
      return false;
  }
}

// SOUND: an instruction counts as harmless only if it is known to be: stores go to the frame
// register, calls to functions whose instructions are looked at as well or to a listed helper. The
// old packet loads (LD_ABS, LD_IND) may end the program with verdict 0.
bool Harmless(const Function& function, uint32_t slot) {
  const Insn& insn = function.insns[slot];
  switch (insn.opcode & kClassMask) {
    case BPF_ST:
    case BPF_STX:
      return insn.dst == kFrameRegister;
    case BPF_LD:
      return insn.opcode == kLdImm64;
    case BPF_JMP:
      if (insn.opcode == (BPF_JMP | BPF_CALL | BPF_X)) return false;
      if (insn.opcode != kCall || IsFunctionCall(function, slot)) return true;
      return insn.src == 0 && FindRef(function, slot) == nullptr && OnlyReads(insn.imm);
    default:
      return true;
  }
}

// The low halves of the registers as far as they are known numbers.
using Registers = std::array<std::optional<uint32_t>, 16>;

// What every way out of a function returns, if that is one known number.
class ReturnValue {
 public:
  ReturnValue(const ObjectSpec& object, const Liveness& liveness)
      : object_(object), liveness_(liveness) {}

  std::optional<uint32_t> Of(uint32_t index, int depth = 0) {
    const Function& function = object_.functions[index];
    const std::vector<bool>& live = liveness_.functions[index].live_slots;
    if (depth == kMaxCallDepth || function.insns.empty()) return std::nullopt;
    std::vector<std::optional<Registers>> before(function.insns.size());
    std::vector<uint32_t> work{0};
    before[0] = Registers{};
    std::optional<uint32_t> result;
    while (!work.empty()) {
      uint32_t slot = work.back();
      work.pop_back();
      Registers state = *before[slot];
      if (function.insns[slot].opcode == kExit) {
        // A later visit of this slot can only know less, and then the answer is "unknown".
        if (!state[0] || (result && *result != *state[0])) return std::nullopt;
        result = state[0];
        continue;
      }
      Step(function, slot, depth, state);
      for (uint32_t next : Successors(function, slot)) {
        if (next >= live.size()) return std::nullopt;
        if (live[next] && Join(state, before[next])) work.push_back(next);
      }
    }
    return result;
  }

 private:
  void Step(const Function& function, uint32_t slot, int depth, Registers& state) {
    const Insn& insn = function.insns[slot];
    uint8_t kind = insn.opcode & kClassMask;
    bool core = FindRef(function, slot) != nullptr;  // its operands may be rewritten at load
    if (insn.opcode == kCall) {
      for (int r = 0; r <= 5; ++r) state[r].reset();
      if (IsFunctionCall(function, slot)) {
        state[0] = Of(FindRef(function, slot)->index, depth + 1);
      }
    } else if (!core && (insn.opcode == kMovImm32 || insn.opcode == kMovImm64)) {
      state[insn.dst] = static_cast<uint32_t>(insn.imm);
    } else if ((insn.opcode == kMovReg32 || insn.opcode == kMovReg64) && insn.offset == 0) {
      state[insn.dst] = state[insn.src];
    } else if (kind == BPF_STX) {
      state[insn.src].reset();  // atomic operations fetch into it; cmpxchg into r0
      state[0].reset();
    } else if (kind != BPF_ST && kind != BPF_JMP && kind != BPF_JMP32) {
      state[insn.dst].reset();
    }
  }

  static std::vector<uint32_t> Successors(const Function& function, uint32_t slot) {
    const Insn& insn = function.insns[slot];
    uint8_t kind = insn.opcode & kClassMask, op = insn.opcode & kOpMask;
    uint32_t next = slot + (insn.opcode == kLdImm64 ? 2 : 1);
    if ((kind != BPF_JMP && kind != BPF_JMP32) || insn.opcode == kCall) return {next};
    if (op == BPF_JA) return {slot + 1 + (kind == BPF_JMP32 ? insn.imm : insn.offset)};
    return {next, slot + 1 + insn.offset};
  }

  // Whether `into` changed.
  static bool Join(const Registers& from, std::optional<Registers>& into) {
    if (!into) {
      into = from;
      return true;
    }
    bool changed = false;
    for (size_t r = 0; r < from.size(); ++r) {
      if (!(*into)[r] || (*into)[r] == from[r]) continue;
      (*into)[r].reset();
      changed = true;
    }
    return changed;
  }

  const ObjectSpec& object_;
  const Liveness& liveness_;
};

// The verdict that hands the packet on as if the program were not there.
std::optional<uint32_t> PassVerdict(const std::string& section) {
  if (section.rfind("xdp", 0) == 0) return XDP_PASS;
  if (section.rfind("tc", 0) == 0 || section.rfind("classifier", 0) == 0) {
    return static_cast<uint32_t>(-1);
  }
  if (IsRunByAgent(section)) return 0;
  return std::nullopt;
}

}  // namespace

bool IsRunByAgent(const std::string& section) { return section == "syscall"; }

bool IsInert(const ObjectSpec& object, const Liveness& liveness, uint32_t index) {
  const object::Program& program = object.programs[index];
  const reachability::ProgramLiveness& facts = liveness.programs[index];
  std::optional<uint32_t> pass = PassVerdict(program.section);
  if (!pass || !facts.maps.empty() || !facts.tail_calls.empty() || facts.tail_calls_unknown_slot) {
    return false;
  }
  for (uint32_t f : facts.functions) {
    const Function& function = object.functions[f];
    for (uint32_t slot = 0; slot < function.insns.size(); ++slot) {
      if (!liveness.functions[f].live_slots[slot]) continue;
      if (!Harmless(function, slot)) return false;
      if (function.insns[slot].opcode == kLdImm64) ++slot;
    }
  }
  return ReturnValue(object, liveness).Of(program.function) == pass;
}

}  // namespace bonsai::plan
