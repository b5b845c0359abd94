// SPDX-License-Identifier: Apache-2.0
// Jumps, helpers, functions and callbacks of a concrete run.
#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/concrete.h"
#include "tests/fuzz/concrete_alu.h"
#include "tests/fuzz/engine_input.h"

namespace bonsai::fuzz {
namespace {

using object::RefKind;
using Kind = Cell::Kind;

constexpr uint8_t kMayGoto = 0xe0;
constexpr uint32_t kLoops = 3;

}  // namespace

bool Machine::StepJump(const Insn& insn) {
  const uint8_t op = insn.opcode & 0xf0;
  const bool wide = (insn.opcode & 0x07) == BPF_JMP, by_register = (insn.opcode & BPF_X) != 0;
  bool taken = true;
  if (op == BPF_CALL || op == BPF_EXIT) {
    if (!wide || by_register) return false;
    if (op == BPF_EXIT) return StepExit();
    if (insn.src == 0) return StepHelper(insn);
    const auto ref = RefHere();
    return ref && ref->kind == RefKind::kCall && StepCall(ref->index);
  }
  if (op == BPF_JA || op == kMayGoto) {
    if (by_register || (op == kMayGoto && (!wide || insn.src != 0))) return false;
    if (op == kMayGoto) taken = random_() % 2;
  } else {
    const Cell dst = Reg(insn.dst);
    const Cell src = by_register ? Reg(insn.src)
                                 : Cell::Of(static_cast<uint64_t>(int64_t{insn.imm}));
    if (!dst.IsNumber() || !src.IsNumber()) return false;
    const auto outcome = ConcreteCompare(insn, dst.value, src.value);
    if (!outcome) return false;
    taken = *outcome;
  }
  const bool far = op == BPF_JA && !wide;
  const int64_t target = int64_t{Here().slot} + 1 + (taken ? (far ? insn.imm : insn.offset) : 0);
  if (target < 0) return false;
  Here().slot = static_cast<uint32_t>(target);  // Step() stops behind the end
  return true;
}

void Machine::EndCall(Cell result) {
  Reg(0) = result;
  for (int i = 1; i <= 5; ++i) Reg(i) = {};
  ++Here().slot;
}

// The helper writes anything to that many bytes of a stack.
bool Machine::FillStack(const Cell& base, const Cell& size) {
  if (base.kind != Kind::kStack || !size.IsNumber() || size.value == 0 || size.value > 64) {
    return false;
  }
  for (uint64_t at = 0; at < size.value; ++at) {
    if (!Store(base, static_cast<int64_t>(at), 1, Cell::Of(Any()))) return false;
  }
  return true;
}

bool Machine::StepHelper(const Insn& insn) {
  Cell unused;
  switch (insn.imm) {
    case BPF_FUNC_get_prandom_u32:
      EndCall(Cell::Of(static_cast<uint32_t>(Any())));
      return true;
    case BPF_FUNC_ktime_get_ns:
      EndCall(Cell::Of(Any()));
      return true;
    case BPF_FUNC_map_lookup_elem: {
      const bool map = Reg(1).kind == Kind::kMap && Reg(1).index != kCalls;
      if (!map || Reg(2).kind != Kind::kStack || !Load(Reg(2), 0, 4, unused)) return false;
      EndCall(random_() % 2 ? Cell::Of(0) : Cell{.kind = Kind::kForeign});
      return true;
    }
    case BPF_FUNC_skb_load_bytes:
      if (Reg(1).kind != Kind::kContext || !Reg(2).IsNumber() || !FillStack(Reg(3), Reg(4))) {
        return false;
      }
      EndCall(Cell::Of(random_() % 2 ? 0 : static_cast<uint64_t>(int64_t{-14})));
      return true;
    case BPF_FUNC_tail_call: {
      const bool valid = Reg(1).kind == Kind::kContext && Reg(2).kind == Kind::kMap &&
                         Reg(2).index == kCalls && Reg(3).IsNumber();
      if (!valid) return false;
      const bool there = static_cast<uint32_t>(Reg(3).value) == 1 && object_.programs.size() > 1;
      if (!there || random_() % 2) {
        EndCall(Cell::Of(Any()));
        return true;
      }
      // It takes the place of the function that calls it.
      const Frame old = Here();
      frames_.pop_back();
      if (!Enter(object_.programs[1].function, {Cell{.kind = Kind::kContext}})) return false;
      return !old.is_callback;
    }
    case BPF_FUNC_loop:
      return StepLoop();
    default:
      return false;
  }
}

bool Machine::StepLoop() {
  const Frame& here = Here();
  const Cell &count = here.registers[1], &callback = here.registers[2], &data = here.registers[3],
             &flags = here.registers[4];
  const bool plain = count.IsNumber() && callback.kind == Kind::kFunction && flags.IsNumber() &&
                     flags.value == 0 &&
                     (data.kind == Kind::kStack || (data.IsNumber() && data.value == 0));
  if (!plain || object_.functions[callback.index].is_global) return false;
  const uint32_t loops = std::min<uint64_t>(static_cast<uint32_t>(count.value), kLoops);
  if (loops == 0) {
    EndCall(Cell::Of(0));
    return true;
  }
  if (!Enter(callback.index, {Cell::Of(0), data})) return false;
  Here().is_callback = true;
  Here().iterations = loops - 1;
  Here().done = 0;
  return true;
}

bool Machine::StepCall(uint32_t function) {
  const auto& registers = Here().registers;
  std::vector<Cell> arguments(registers.begin() + 1, registers.begin() + 6);
  if (object_.functions[function].is_global) {
    for (Cell& argument : arguments) {
      if (argument.kind == Kind::kUninitialised) argument = Cell::Of(Any());
      if (!argument.IsNumber() && argument.kind != Kind::kContext) return false;
    }
  }
  return Enter(function, arguments);
}

bool Machine::StepExit() {
  const Frame ended = Here();
  const Cell result = ended.registers[0];
  frames_.pop_back();
  if (frames_.empty()) return false;  // the program's end
  if (result.kind == Kind::kStack) return false;
  if (!ended.is_callback) {
    EndCall(result);
    return true;
  }
  if (!result.IsNumber() || result.value > 1) return false;
  if (result.value == 1 || ended.iterations == 0) {
    EndCall(Cell::Of(ended.done + 1));
    return true;
  }
  if (!Enter(ended.function, {Cell::Of(ended.done + 1), Reg(3)})) return false;
  Here().is_callback = true;
  Here().iterations = ended.iterations - 1;
  Here().done = ended.done + 1;
  return true;
}

}  // namespace bonsai::fuzz
