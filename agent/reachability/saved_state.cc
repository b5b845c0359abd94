// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstring>

#include "agent/reachability/state.h"

namespace bonsai::reachability {
namespace {

constexpr SlotSet BitOf(int slot) { return SlotSet{1} << slot; }

}  // namespace

class SavedState::Merger {
 public:
  Merger(std::vector<Value>& values, bool widen, Tables& tables)
      : values_(values), widen_(widen), tables_(tables) {}

  const Value& next() const { return values_[from_]; }

  // Joins the next value with `other`. False: what it is now needs no room, `kind` says it all.
  bool Join(const Value& other, Kind& kind) {
    Value& before = values_[from_++];
    kind = before.kind;
    if (before.SameAs(other)) {
      if (before.origin != other.origin) {
        before.origin = tables_.provenance.Union(before.origin, other.origin);
      }
      if (to_ != from_ - 1) values_[to_] = before;
      ++to_;
      return true;
    }
    const Value joined = JoinValues(before, other, widen_, tables_);
    changed_ = changed_ || !joined.SameAs(before);
    kind = joined.kind;
    if (kind == Kind::kForeign || kind == Kind::kUnknown ||
        (kind == Kind::kNumber && joined.number.IsAny())) {
      return false;
    }
    values_[to_++] = joined;
    return true;
  }
  void Drop() {
    ++from_;
    changed_ = true;
  }
  void SetChanged() { changed_ = true; }

  // True: something new was said.
  bool Finish() {
    values_.resize(to_);
    return changed_;
  }

 private:
  std::vector<Value>& values_;
  size_t from_ = 0, to_ = 0;
  bool widen_;
  Tables& tables_;
  bool changed_ = false;
};

void SavedState::Save(const State& state, RegisterSet live) {
  present_ = true;
  values_.reserve(static_cast<size_t>(std::popcount(live) + std::popcount(state.known)));
  for (int i = 0; i < kRegisters; ++i) {
    const Value& value = state.registers[i];
    if (!(live >> i & 1) || value.IsAny()) continue;
    stored_registers_ |= static_cast<RegisterSet>(1u << i);
    values_.push_back(value);
  }
  for (SlotSet rest = state.known; rest != 0; rest &= rest - 1) {
    values_.push_back(state.slots[std::countr_zero(rest)]);
  }
  stored_slots_ = state.known;
  pointers_ = state.pointers;
  zero_ = state.zero;
}

bool SavedState::Merge(const State& state, RegisterSet live, bool widen, Tables& tables) {
  if (!present_) {
    Save(state, live);
    return true;
  }
  Merger merger(values_, widen, tables);
  MergeRegisters(state, live, merger);
  MergeSlots(state, merger);
  if (MergePointersAndZeros(state)) merger.SetChanged();
  return merger.Finish();
}

void SavedState::MergeRegisters(const State& state, RegisterSet live, Merger& merger) {
  for (RegisterSet rest = live; rest != 0; rest &= static_cast<RegisterSet>(rest - 1)) {
    const int i = std::countr_zero(rest);
    const auto bit = static_cast<RegisterSet>(1u << i);
    const Value& next = state.registers[i];
    if (stored_registers_ & bit) {
      Kind kind = Kind::kNumber;
      if (merger.Join(next, kind)) continue;
      stored_registers_ &= static_cast<RegisterSet>(~bit);
      if (kind == Kind::kForeign) foreign_registers_ |= bit;
      if (kind == Kind::kUnknown) unknown_registers_ |= bit;
      continue;
    }
    // It says nothing already, but perhaps that it is no pointer.
    RegisterSet& mask = next.MayPointToOwnStack() ? unknown_registers_ : foreign_registers_;
    if (!next.MayPointToStack() || ((mask | unknown_registers_) & bit)) continue;
    mask |= bit;
    merger.SetChanged();
  }
}

void SavedState::MergeSlots(const State& state, Merger& merger) {
  for (SlotSet rest = stored_slots_; rest != 0; rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    Kind kind = Kind::kNumber;
    // Values of different widths are not compared: the slot just loses its value.
    if ((state.known & BitOf(slot)) && state.slots[slot].bytes == merger.next().bytes) {
      if (merger.Join(state.slots[slot], kind)) continue;
    } else {
      if (merger.next().MayPointToStack()) kind = Kind::kUnknown;
      merger.Drop();
    }
    stored_slots_ &= ~BitOf(slot);
    if (kind != Kind::kNumber) pointers_ |= BitOf(slot);
  }
}

bool SavedState::MergePointersAndZeros(const State& state) {
  SlotSet pointers = state.pointers & ~stored_slots_;
  for (SlotSet rest = state.known & ~stored_slots_; rest != 0; rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    if (state.slots[slot].MayPointToStack()) pointers |= BitOf(slot);
  }
  bool changed = (pointers & ~pointers_) != 0;
  pointers_ |= pointers;
  // Eight slots at a time.
  for (size_t at = 0; at < zero_.size(); at += sizeof(uint64_t)) {
    uint64_t before, next;
    std::memcpy(&before, &zero_[at], sizeof(before));
    std::memcpy(&next, &state.zero[at], sizeof(next));
    next &= before;
    changed = changed || next != before;
    std::memcpy(&zero_[at], &next, sizeof(next));
  }
  return changed;
}

bool SavedState::MergeEverything() {
  const bool changed = !present_ || unknown_registers_ != kAllRegisters || ~pointers_ != 0;
  present_ = true;
  stored_registers_ = foreign_registers_ = 0;
  unknown_registers_ = kAllRegisters;
  stored_slots_ = 0;
  pointers_ = ~SlotSet{0};
  zero_.fill(0);
  values_.clear();
  return changed;
}

void SavedState::Restore(State& state) const {
  size_t next = 0;
  for (int i = 0; i < kRegisters; ++i) {
    if (stored_registers_ >> i & 1) {
      state.registers[i] = values_[next++];
    } else {
      state.registers[i] = unknown_registers_ >> i & 1   ? Value::OfKind(Kind::kUnknown)
                           : foreign_registers_ >> i & 1 ? Value::OfKind(Kind::kForeign)
                                                         : Value();
    }
  }
  state.known = stored_slots_;
  state.pointers = pointers_;
  state.zero = zero_;
  for (SlotSet rest = stored_slots_; rest != 0; rest &= rest - 1) {
    state.slots[std::countr_zero(rest)] = values_[next++];
  }
}

}  // namespace bonsai::reachability
