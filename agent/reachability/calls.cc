// SPDX-License-Identifier: Apache-2.0
// Calls: what they leave in registers, and what they may write through the pointers they get.
#include <algorithm>

#include "agent/reachability/engine.h"
#include "agent/reachability/helpers.h"

namespace bonsai::reachability {
namespace {

constexpr uint32_t kMaxFrames = 8;  // MAX_CALL_FRAMES of kernel/bpf/verifier.c

bool AnyArgument(const State& state, bool (Value::*is)() const) {
  return std::any_of(&state.registers[BPF_REG_1], &state.registers[BPF_REG_6],
                     [&](const Value& value) { return (value.*is)(); });
}

}  // namespace

void Engine::EndCall(const Value& result) {
  state_.registers[BPF_REG_0] = result;
  for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) state_.registers[i] = Value::Any();
}

void Engine::WriteAnywhere() {
  state_.ClobberAll(tables_.stacks);
  ForeignWrite();
}

// Memory from `pointer` upwards is written: `size` bytes, or no one knows how many. SOUND: the
// verifier checks that what a helper gets lies inside of the frame, from the pointer on upwards.
void Engine::WriteThrough(const Value& pointer, std::optional<uint32_t> size) {
  switch (pointer.kind) {
    case Kind::kStack: {
      const Bounds64 at = tables_.BoundsOf(pointer.scalar());
      const bool exact = pointer.is_const && size;
      const SlotSet slots =
          SlotsBetween(at.smin, at.smax, size ? *size : uint32_t{kStackBytes});
      state_.ChangeFrame(pointer.index, [&](Stack& frame) {
        if (exact) {
          frame.ClobberBytes(at.smin, *size, tables_.stacks);
        } else {
          frame.Clobber(slots, tables_.stacks);
        }
      });
      return;
    }
    case Kind::kForeign:
      ForeignWrite();
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
  if (!IsKnownHelper(insn.imm)) {
    CallKfunc();
    return;
  }
  for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) {
    const Value pointer = state_.registers[i];
    if (!pointer.MayPointToStack()) continue;
    const HelperWrites effect = WritesOf(insn.imm, i);
    if (!effect.writes) continue;
    std::optional<uint32_t> size;
    if (effect.size_argument != 0) {
      const Bounds64 bytes =
          tables_.BoundsOf(state_.registers[effect.size_argument].AsNumber());
      if (bytes.umax <= kStackBytes) size = static_cast<uint32_t>(bytes.umax);
    }
    if (effect.size != 0) size = static_cast<uint32_t>(effect.size);
    const Value& map = state_.registers[BPF_REG_1];
    if (effect.map_value && map.kind == Kind::kMap) size = object_.maps[map.index].value_size;
    WriteThrough(pointer, size);
  }
  // SOUND: no helper returns a pointer into a stack.
  EndCall(Value::Any());
}

void Engine::CallKfunc() {
  bool callback = false;
  for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) {
    const Value& argument = state_.registers[i];
    // SOUND: what may be anything may be a function.
    if (argument.kind == Kind::kUnknown) tables_.function_lost = true;
    if (argument.kind != Kind::kFunction) continue;
    callback = true;
    AddCallee(ContextOf(argument.index, Kind::kForeign));
  }
  const bool stack = AnyArgument(state_, &Value::MayPointToStack);
  if (stack && (callback || tables_.function_lost)) {
    WriteAnywhere();  // the callback may write through any pointer it is given, below it as well
  } else if (stack) {
    for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) WriteThrough(state_.registers[i], std::nullopt);
  }
  // Some return the buffer they were given, or what an iterator on the stack holds.
  EndCall(stack ? Value::OfKind(Kind::kUnknown) : Value::Any());
}

// False: it does not return as far as is known yet; then this block runs again once it does.
bool Engine::CallFunction(uint32_t index) {
  const bool visible = AnyArgument(state_, &Value::MayPointToVisible);
  const bool deep = state_.callers() + 2 > kMaxFrames;
  if (object_.functions[index].is_global || (visible && deep)) return CallOpaque(index);
  if (visible) return CallVisible(index);
  Arguments arguments;
  std::copy_n(&state_.registers[BPF_REG_1], arguments.size(), arguments.begin());
  const uint32_t id = ContextFor(index, arguments, nullptr);
  WaitFor(id);
  if (contexts_[id].foreign_writes) ForeignWrite();
  if (!contexts_[id].returns) return false;
  EndCall(contexts_[id].exit.registers[BPF_REG_0]);
  return true;
}

// A static function that gets a pointer into some frame sees all frames, and leaves them changed.
bool Engine::CallVisible(uint32_t index) {
  Arguments arguments;
  std::copy_n(&state_.registers[BPF_REG_1], arguments.size(), arguments.begin());
  const uint32_t id = ContextFor(index, arguments, &state_);
  WaitFor(id);
  const Context& callee = contexts_[id];
  if (callee.foreign_writes) ForeignWrite();
  if (!callee.returns) return false;
  state_.frames = callee.exit.frames;
  state_.PopFrame();
  EndCall(callee.exit.registers[BPF_REG_0]);
  return true;
}

// A global function is verified by itself, for any arguments, and may be replaced while it runs; of a
// static one called too deep nothing is known.
bool Engine::CallOpaque(uint32_t index) {
  const uint32_t id = ContextOf(index, Kind::kForeign);
  WaitFor(id);
  const Context& callee = contexts_[id];
  if (!callee.returns) return false;
  if (object_.functions[index].is_global) {
    // SOUND: memory passed to it counts as written whatever its body does, from the pointer upwards,
    // like that passed to a helper (check_mem_reg() of the verifier).
    for (int i = BPF_REG_1; i <= BPF_REG_5; ++i) WriteThrough(state_.registers[i], std::nullopt);
    EndCall(Value::Any());
    return true;
  }
  if (callee.foreign_writes) WriteAnywhere();
  const Value& result = callee.exit.registers[BPF_REG_0];
  EndCall(result.MayPointToStack() ? Value::OfKind(Kind::kUnknown) : Value::Any());
  return true;
}

// What a helper calls its callback with; what it hands on is the argument after the function.
Arguments Engine::CallbackArguments(int32_t helper) const {
  Arguments arguments = AllOfKind(Kind::kNumber);
  const auto handed_on = [&](int i) { return state_.registers[i]; };
  switch (helper) {
    case BPF_FUNC_loop:  // index, context
      arguments[1] = handed_on(BPF_REG_3);
      break;
    case BPF_FUNC_for_each_map_elem:  // map, key, value, context
      arguments[3] = handed_on(BPF_REG_3);
      break;
    case BPF_FUNC_find_vma:  // task, vma, context
      arguments[2] = handed_on(BPF_REG_4);
      break;
    case BPF_FUNC_user_ringbuf_drain:  // dynptr, context
      arguments[0] = Value::OfKind(Kind::kForeign);
      arguments[1] = handed_on(BPF_REG_3);
      break;
    default:  // timers: map, key, value
      break;
  }
  return arguments;
}

void Engine::CallCallback(const Insn& insn) {
  // SOUND: no rounds, no call. (Kernels before 6.7 verify the function all the same.)
  if (insn.imm == BPF_FUNC_loop && state_.registers[BPF_REG_1].AsNumber().Is(0)) {
    EndCall(Value::Any());
    return;
  }
  const Value callback = state_.registers[CallbackArgument(insn.imm)];
  if (callback.kind == Kind::kFunction) {
    RunCallback(insn.imm, callback.index);
  } else {
    // SOUND: some function whose address was taken and got lost: CallTaken() runs them all.
    tables_.function_lost = true;
    WriteAnywhere();
  }
  EndCall(Value::Any());
}

// SOUND: it runs any number of times, each time with the frames as the earlier ones left them.
void Engine::RunCallback(int32_t helper, uint32_t function) {
  const Arguments arguments = CallbackArguments(helper);
  const auto any = [&](bool (Value::*is)() const) {
    return std::any_of(arguments.begin(), arguments.end(),
                       [&](const Value& value) { return (value.*is)(); });
  };
  const bool visible = any(&Value::MayPointToVisible);
  const auto key = std::make_tuple(current_, block_, function);
  const auto known = callbacks_.find(key);
  // Callbacks that call callbacks from many places would have a context for each way to get there.
  const bool too_many =
      known == callbacks_.end() && callback_contexts_[function] >= MaxContexts();
  if (!visible || object_.functions[function].is_global || state_.callers() + 2 > kMaxFrames ||
      too_many) {
    const uint32_t id =
        ContextOf(function, any(&Value::MayPointToStack) ? Kind::kForeign : Kind::kNumber);
    WaitFor(id);
    if (!contexts_[id].foreign_writes) return;
    if (visible) state_.ClobberAll(tables_.stacks);
    ForeignWrite();
    return;
  }
  State entry = state_;
  entry.PushFrame();
  entry.registers.fill(Value::Any());
  std::copy(arguments.begin(), arguments.end(), &entry.registers[BPF_REG_1]);
  entry.registers[BPF_REG_10] = Value::Pointer(Kind::kStack, entry.callers(), 0);
  callback_contexts_[function] += known == callbacks_.end();
  const uint32_t id = known != callbacks_.end()
                          ? known->second
                          : callbacks_.emplace(key, NewContext(function, entry)).first->second;
  WaitFor(id);
  Enter(id, entry);
  Context& callee = contexts_[id];
  if (callee.foreign_writes) ForeignWrite();
  if (callee.returns) {
    entry.frames = callee.exit.frames;
    Enter(id, entry);
  }
  state_.frames = callee.entry.frames;
  state_.PopFrame();
}

void Engine::RecordTailCall() {
  const Value& map = state_.registers[BPF_REG_2];
  const Value& index = state_.registers[BPF_REG_3];
  TailUse use{.slot = Low32(tables_.numbers.NumberOf(index.AsNumber())), .call = slot_,
              .origin = tables_.provenance.Union(map.origin, index.origin)};
  if (map.kind == Kind::kMap) use.map = map.index;
  if (ValueSet few; tables_.numbers.Members(index.AsNumber(), few)) {
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
    bool fits = !use.slots.empty() && !known->slots.empty();
    for (const uint64_t slot : use.slots) fits = fits && known->slots.Add(slot);
    if (!fits) known->slots = {};
    known->origin = tables_.provenance.Union(known->origin, use.origin);
  }
  // SOUND: a program that a function tail-calls returns to that function's caller, with any value.
  MergeExit(state_, Value::Any());
}

}  // namespace bonsai::reachability
