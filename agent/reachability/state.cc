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

}  // namespace bonsai::reachability
