// SPDX-License-Identifier: Apache-2.0
// Calls: what they leave in registers, and what they may write through the pointers they get.
#include <algorithm>

#include "agent/reachability/engine.h"
#include "agent/reachability/helpers.h"

namespace bonsai::reachability {
namespace {

bool TakesCallback(int32_t helper) {
  switch (helper) {
    case BPF_FUNC_for_each_map_elem: case BPF_FUNC_timer_set_callback: case BPF_FUNC_find_vma:
    case BPF_FUNC_loop: case BPF_FUNC_user_ringbuf_drain:
      return true;
    default:
      return false;
  }
}

bool AnyPointsToStack(const State& state) {
  return std::any_of(&state.registers[BPF_REG_1], &state.registers[BPF_REG_6],
                     [](const Value& value) { return value.MayPointToStack(); });
}

}  // namespace

void Engine::EndCall(const Value& result) {
  state_.registers[BPF_REG_0] = result;
  for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) state_.registers[i] = Value::Any();
}

void Engine::WriteAnywhere() {
  state_.stack.Clobber(~SlotSet{0});
  if (here_->HasForeign()) MergeWrites(~SlotSet{0}, true);
}

// Memory from `pointer` upwards is written: `size` bytes, or no one knows how many. SOUND: the
// verifier checks that what a helper gets lies inside of the frame, from the pointer on upwards.
void Engine::WriteThrough(const Value& pointer, std::optional<uint32_t> size) {
  const Bounds64& at = pointer.number.b64;
  const SlotSet slots = SlotsBetween(at.smin, at.smax, size ? *size : uint32_t{kStackBytes});
  switch (pointer.kind) {
    case Kind::kStack:
      state_.stack.Clobber(slots);
      return;
    case Kind::kCaller:
      MergeWrites(slots, false);
      return;
    case Kind::kForeign:
      MergeWrites(~SlotSet{0}, true);
      return;
    case Kind::kUnknown:
      WriteAnywhere();
      return;
    default:
      return;
  }
}

void Engine::CallHelper(const Insn& insn) {
  if (insn.imm == kHelperTailCall) RecordTailCall();
  if (TakesCallback(insn.imm)) {
    // SOUND: the callback may write through any pointer it finds, below it as well.
    if (AnyPointsToStack(state_)) WriteAnywhere();
    EndCall(Value::Any());
    return;
  }
  for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) {
    const Value pointer = state_.registers[i];
    if (!pointer.MayPointToStack()) continue;
    const HelperWrites effect = WritesOf(insn.imm, i);
    if (!effect.writes) continue;
    std::optional<uint32_t> size;
    if (effect.size_argument != 0) {
      const Number& bytes = state_.registers[effect.size_argument].AsNumber();
      if (bytes.b64.umax <= kStackBytes) size = static_cast<uint32_t>(bytes.b64.umax);
    }
    WriteThrough(pointer, size);
  }
  // SOUND: no helper returns a pointer into a stack.
  EndCall(Value::Any());
}

void Engine::CallKfunc() {
  const bool stack = AnyPointsToStack(state_);
  if (stack && takes_addresses_) {
    WriteAnywhere();  // it may have been given a callback
  } else if (stack) {
    for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) WriteThrough(state_.registers[i], std::nullopt);
  }
  // Some return the buffer they were given, or what an iterator on the stack holds.
  EndCall(stack ? Value::OfKind(Kind::kUnknown) : Value::Any());
}

void Engine::AddCallee(uint32_t context) {
  std::vector<uint32_t>& callees = here_->callees;
  if (std::find(callees.begin(), callees.end(), context) == callees.end()) {
    callees.push_back(context);
  }
}

void Engine::CallFunction(const Block& block, uint32_t index) {
  const object::Function& function = object_.functions[index];
  Arguments arguments;
  for (size_t i = 0; i < arguments.size(); ++i) {
    // A global function is verified for any arguments, and may be replaced while it runs.
    arguments[i] = function.is_global ? Value::OfKind(Kind::kForeign)
                                      : SeenByCallee(state_.registers[i + 1]);
  }
  const uint32_t id = ContextFor(index, arguments);
  AddCallee(id);
  Context& callee = contexts_[id];
  const std::pair<uint32_t, uint32_t> waiter{current_, block_};
  if (std::find(callee.waiters.begin(), callee.waiters.end(), waiter) == callee.waiters.end()) {
    callee.waiters.push_back(waiter);
  }
  // What follows runs only once the function returns; then this block is scheduled again.
  if (!callee.returns && !function.is_global) return;
  ApplyWrites(callee, function.is_global);
  EndCall(function.is_global ? Value::Any() : SeenByCaller(callee.result));
  if (block.next != kNoBlock) Propagate(block.next);
}

void Engine::ApplyWrites(const Context& callee, bool upwards_only) {
  if (!AnyPointsToStack(state_)) return;
  if (callee.far_writes && upwards_only) {
    // SOUND: memory passed to a global function is checked like that passed to a helper.
    for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) WriteThrough(state_.registers[i], std::nullopt);
  } else if (callee.far_writes) {
    WriteAnywhere();
  } else {
    state_.stack.Clobber(callee.caller_writes);
  }
}

void Engine::RecordTailCall() {
  const Value& map = state_.registers[BPF_REG_2];
  const Value& index = state_.registers[BPF_REG_3];
  TailUse use{.slot = Low32(index.AsNumber()), .call = slot_,
              .origin = tables_.provenance.Union(map.origin, index.origin)};
  if (map.kind == Kind::kMap) use.map = map.index;
  if (ValueSet few; tables_.Members(index, few)) {
    for (const uint64_t slot : few) use.slots.Add(static_cast<uint32_t>(slot));
  }
  const auto known = std::find_if(
      here_->tail_uses.begin(), here_->tail_uses.end(),
      [&](const TailUse& other) { return other.call == use.call && other.map == use.map; });
  if (known == here_->tail_uses.end()) {
    here_->tail_uses.push_back(use);
  } else {
    known->slot = Join(known->slot, use.slot);
    // No set when one of the two is none or they are too many.
    bool fits = use.slots.count > 0 && known->slots.count > 0;
    for (const uint64_t slot : use.slots) fits = fits && known->slots.Add(slot);
    if (!fits) known->slots = {};
    known->origin = tables_.provenance.Union(known->origin, use.origin);
  }
  // SOUND: a program that a function tail-calls returns to that function's caller, with any value.
  MergeResult(Value::Any());
}

}  // namespace bonsai::reachability
