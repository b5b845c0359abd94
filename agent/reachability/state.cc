// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/state.h"

#include <algorithm>
#include <bit>

namespace bonsai::reachability {
namespace {

constexpr SlotSet Bit(int slot) { return SlotSet{1} << slot; }

uint8_t ByteMask(uint32_t first, uint32_t count) {
  return static_cast<uint8_t>(((1u << count) - 1) << first);
}

}  // namespace

SlotSet SlotsBetween(int64_t low, int64_t high, uint32_t size) {
  low = std::max<int64_t>(low, -kStackBytes);
  const int64_t end = std::min<int64_t>(std::min<int64_t>(high, 0) + size, 0);  // exclusive
  if (end <= low) return 0;
  const auto first = static_cast<int>((low + kStackBytes) / 8);
  const auto last = static_cast<int>((end - 1 + kStackBytes) / 8);
  const SlotSet up_to_last = last == kStackSlots - 1 ? ~SlotSet{0} : Bit(last + 1) - 1;
  return up_to_last & ~(Bit(first) - 1);
}

void State::Clear() {
  registers.fill(Value());
  known = pointers = 0;
  zero.fill(0);
}

Value State::Load(const Number& offset, uint32_t size) const {
  if (offset.IsConst()) return LoadAt(static_cast<int64_t>(offset.value()), size);
  if (size < 8) return Value::Of(Number::OfSize(size));
  const SlotSet read = SlotsBetween(offset.b64.smin, offset.b64.smax, size);
  for (SlotSet rest = read & known; rest != 0; rest &= rest - 1) {
    if (slots[std::countr_zero(rest)].MayPointToStack()) return Value::OfKind(Kind::kUnknown);
  }
  return (read & pointers) != 0 ? Value::OfKind(Kind::kUnknown) : Value::Any();
}

Value State::LoadAt(int64_t offset, uint32_t size) const {
  const Value unread = Value::Of(Number::OfSize(size));
  if (offset < -kStackBytes || offset + size > 0) return Value::OfKind(Kind::kUnknown);
  const auto slot = static_cast<int>((offset + kStackBytes) / 8);
  const auto first = static_cast<uint32_t>((offset + kStackBytes) % 8);
  if (first + size > 8) return size < 8 ? unread : Value::OfKind(Kind::kUnknown);
  if (known & Bit(slot)) {
    const Value& value = slots[slot];
    if (first == 0 && size == value.bytes) {
      Value loaded = value;
      loaded.bytes = 8;
      return loaded;
    }
    if (first + size <= value.bytes && value.IsNumber()) {
      if (first == 0) return Value::Of(LowBytes(value.number, size), value.origin);
      if (value.number == Number::Const(0)) return Value::Of(Number::Const(0), value.origin);
    }
  }
  const uint8_t bytes = ByteMask(first, size);
  if ((zero[slot] & bytes) == bytes) return Value::Of(Number::Const(0));
  if (size == 8 && (pointers & Bit(slot))) return Value::OfKind(Kind::kUnknown);
  return unread;
}

void State::Store(const Number& offset, uint32_t size, const Value& value) {
  if (offset.IsConst()) return StoreAt(static_cast<int64_t>(offset.value()), size, value);
  const SlotSet written = SlotsBetween(offset.b64.smin, offset.b64.smax, size);
  // SOUND: one of these slots changes and the others do not: none keeps its value, and each may
  // hold what it held before.
  for (SlotSet rest = written; rest != 0; rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    zero[slot] = 0;
    if (value.MayPointToStack() || ((known & Bit(slot)) && slots[slot].MayPointToStack())) {
      pointers |= Bit(slot);
    }
  }
  known &= ~written;
}

void State::StoreAt(int64_t offset, uint32_t size, const Value& value) {
  const auto first = static_cast<uint32_t>((offset + kStackBytes) & 7);
  if (offset < -kStackBytes || offset + size > 0 || first + size > 8) {
    Clobber(SlotsBetween(offset, offset, size));
    return;
  }
  const auto slot = static_cast<int>((offset + kStackBytes) / 8);
  // SOUND: a pointer that is overwritten in part is no pointer any more; the verifier does not let
  // a program use what is left of it.
  pointers &= ~Bit(slot);
  if (size == 8 && !value.IsNumber()) {
    slots[slot] = value;
    known |= Bit(slot);
    zero[slot] = 0;
    return;
  }
  const uint8_t bytes = ByteMask(first, size);
  known &= ~Bit(slot);
  zero[slot] &= static_cast<uint8_t>(~bytes);
  const bool is_zero = value.IsNumber() && LowBytes(value.number, size) == Number::Const(0);
  if (first != 0) {
    if (is_zero) zero[slot] |= bytes;
    return;
  }
  Value stored = Value::Of(LowBytes(value.AsNumber(), size), value.origin);
  if (value.IsNumber() && stored.number == value.number) stored.set = value.set;
  if (stored.number == Number::OfSize(size)) return;
  stored.bytes = static_cast<uint8_t>(size);
  slots[slot] = stored;
  known |= Bit(slot);
}

void State::Clobber(SlotSet written) {
  known &= ~written;
  pointers |= written;
  for (SlotSet rest = written; rest != 0; rest &= rest - 1) zero[std::countr_zero(rest)] = 0;
}

// ---- SavedState ----

void SavedState::Save(const State& state) {
  present_ = true;
  const int slots = std::popcount(state.known);
  values_.reserve(kRegisters + static_cast<size_t>(slots));
  for (int i = 0; i < kRegisters; ++i) {
    const Value& value = state.registers[i];
    if (value.IsAny()) continue;
    stored_registers_ |= 1u << i;
    values_.push_back(value);
  }
  for (SlotSet rest = state.known; rest != 0; rest &= rest - 1) {
    values_.push_back(state.slots[std::countr_zero(rest)]);
  }
  stored_slots_ = state.known;
  pointers_ = state.pointers;
  zero_ = state.zero;
}

bool SavedState::Merge(const State& state, bool widen, Tables& tables) {
  if (!present_) {
    Save(state);
    return true;
  }
  bool changed = false;
  size_t from = 0, to = 0;
  const auto keep = [&](const Value& next, bool& dropped) -> Kind {
    const Value& before = values_[from++];
    if (before.SameAs(next)) {
      if (before.origin != next.origin) {
        values_[from - 1].origin = tables.provenance.Union(before.origin, next.origin);
      }
      if (to != from - 1) values_[to] = values_[from - 1];
      ++to;
      return before.kind;
    }
    const Value joined = JoinValues(before, next, widen, tables);
    changed = changed || !joined.SameAs(before);
    const Kind kind = joined.kind;
    // What has no number of its own needs no room.
    dropped = kind == Kind::kForeign || kind == Kind::kUnknown ||
              (kind == Kind::kNumber && joined.number.IsAny());
    if (!dropped) values_[to++] = joined;
    return kind;
  };
  for (int i = 0; i < kRegisters; ++i) {
    const auto bit = static_cast<uint16_t>(1u << i);
    const Value& next = state.registers[i];
    if (stored_registers_ & bit) {
      bool dropped = false;
      const Kind kind = keep(next, dropped);
      if (!dropped) continue;
      stored_registers_ &= static_cast<uint16_t>(~bit);
      if (kind == Kind::kForeign) foreign_registers_ |= bit;
      if (kind == Kind::kUnknown) unknown_registers_ |= bit;
      continue;
    }
    uint16_t& mask = next.MayPointToOwnStack() ? unknown_registers_ : foreign_registers_;
    if (!next.MayPointToStack() || ((mask | unknown_registers_) & bit)) continue;
    mask |= bit;
    changed = true;
  }
  for (SlotSet rest = stored_slots_; rest != 0; rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    bool dropped = false;
    Kind kind = Kind::kNumber;
    // Values of different widths are not compared: the slot just loses its value.
    if ((state.known & Bit(slot)) && state.slots[slot].bytes == values_[from].bytes) {
      kind = keep(state.slots[slot], dropped);
    } else {
      const bool pointer = values_[from++].MayPointToStack();
      kind = pointer ? Kind::kUnknown : Kind::kNumber;
      dropped = changed = true;
    }
    if (!dropped) continue;
    stored_slots_ &= ~Bit(slot);
    if (kind != Kind::kNumber) pointers_ |= Bit(slot);
  }
  values_.resize(to);
  SlotSet pointers = state.pointers & ~stored_slots_;
  for (SlotSet rest = state.known & ~stored_slots_; rest != 0; rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    if (state.slots[slot].MayPointToStack()) pointers |= Bit(slot);
  }
  changed = changed || (pointers & ~pointers_) != 0;
  pointers_ |= pointers;
  for (int slot = 0; slot < kStackSlots; ++slot) {
    const uint8_t zero = zero_[slot] & state.zero[slot];
    changed = changed || zero != zero_[slot];
    zero_[slot] = zero;
  }
  return changed;
}

bool SavedState::MergeEverything() {
  constexpr uint16_t kAllRegisters = (1u << kRegisters) - 1;
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
