// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/state.h"

#include <bit>

namespace bonsai::reachability {
namespace {

RegisterSet Bit(int index) { return static_cast<RegisterSet>(1u << index); }

}  // namespace

void SavedState::SaveRegisters(const State& state, RegisterSet live) {
  values_.reserve(static_cast<size_t>(std::popcount(live)));
  for (int i = 0; i < kRegisters; ++i) {
    const Value& value = state.registers[i];
    if (!(live & Bit(i)) || value.IsAny()) continue;
    stored_registers_ |= Bit(i);
    values_.push_back(value);
  }
}

bool SavedState::Merge(const State& state, RegisterSet live, bool widen, Tables& tables) {
  if (!present_) {
    present_ = true;
    SaveRegisters(state, live);
    stack_ = state.stack;
    return true;
  }
  if (everything_) return false;
  const bool registers = MergeRegisters(state, live, widen, tables);
  const bool stack = stack_.Merge(state.stack, widen, tables);
  return registers || stack;
}

bool SavedState::MergeRegisters(const State& state, RegisterSet live, bool widen,
                                Tables& tables) {
  bool changed = false;
  size_t from = 0, to = 0;  // in values_: gaps are closed on the way
  for (RegisterSet rest = live; rest != 0; rest &= static_cast<RegisterSet>(rest - 1)) {
    const int i = std::countr_zero(rest);
    const Value& next = state.registers[i];
    if (!(stored_registers_ & Bit(i))) {
      // It says nothing already, but perhaps that it is no pointer.
      RegisterSet& mask = next.MayPointToOwnStack() ? unknown_registers_ : foreign_registers_;
      if (!next.MayPointToStack() || ((mask | unknown_registers_) & Bit(i))) continue;
      mask |= Bit(i);
      changed = true;
      continue;
    }
    Value& before = values_[from++];
    if (before.SameAs(next)) {
      before.origin = tables.provenance.Union(before.origin, next.origin);
      if (to != from - 1) values_[to] = before;
      ++to;
      continue;
    }
    const Value joined = JoinValues(before, next, widen, tables);
    changed = changed || !joined.SameAs(before);
    const bool pointer = joined.kind == Kind::kForeign || joined.kind == Kind::kUnknown;
    if (!pointer && !(joined.IsNumber() && joined.number.IsAny())) {
      values_[to++] = joined;
      continue;
    }
    stored_registers_ &= static_cast<RegisterSet>(~Bit(i));
    if (joined.kind == Kind::kForeign) foreign_registers_ |= Bit(i);
    if (joined.kind == Kind::kUnknown) unknown_registers_ |= Bit(i);
  }
  values_.resize(to);
  return changed;
}

bool SavedState::MergeEverything() {
  if (everything_) return false;
  present_ = everything_ = true;
  stored_registers_ = foreign_registers_ = 0;
  unknown_registers_ = kAllRegisters;
  values_.clear();
  stack_.Clobber(~SlotSet{0});
  return true;
}

void SavedState::Restore(State& state) const {
  size_t next = 0;
  for (int i = 0; i < kRegisters; ++i) {
    if (stored_registers_ & Bit(i)) {
      state.registers[i] = values_[next++];
    } else {
      state.registers[i] = unknown_registers_ & Bit(i)   ? Value::OfKind(Kind::kUnknown)
                           : foreign_registers_ & Bit(i) ? Value::OfKind(Kind::kForeign)
                                                         : Value();
    }
  }
  state.stack = stack_;
}

}  // namespace bonsai::reachability
