// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/stack.h"

#include <algorithm>
#include <bit>

namespace bonsai::reachability {
namespace {

const StackPage kNothingKnown;

constexpr SlotSet SlotBit(int slot) { return SlotSet{1} << slot; }
constexpr uint8_t PageBit(int slot) { return static_cast<uint8_t>(1u << slot); }

uint8_t ByteMask(uint32_t first, uint32_t count) {
  return static_cast<uint8_t>(((1u << count) - 1) << first);
}

const StackPage& Content(const PageRef& page) {
  return page.get() == nullptr ? kNothingKnown : *page.get();
}

bool HoldsPointer(const StackPage& page, int slot) {
  return (page.pointers & PageBit(slot)) != 0 ||
         ((page.known & PageBit(slot)) != 0 && page.slots[slot].MayPointToStack());
}

// Joins slot `i`, which has a value in both, into `page`. True: that said something new.
bool JoinSlot(const Value& next, int i, bool widen, Tables& tables, StackPage& page) {
  const Value value = JoinValues(page.slots[i], next, widen, tables);
  const bool changed = !value.SameAs(page.slots[i]);
  const bool pointer = value.kind == Kind::kForeign || value.kind == Kind::kUnknown;
  if (pointer || (value.IsNumber() && value.number.IsAny())) {
    page.known &= static_cast<uint8_t>(~PageBit(i));
    if (pointer) page.pointers |= PageBit(i);
    return true;
  }
  page.slots[i] = value;
  return changed;
}

// Slots of `a` whose value is not the same in `b`.
uint8_t DifferentSlots(const StackPage& a, const StackPage& b) {
  uint8_t different = a.known & static_cast<uint8_t>(~b.known);
  for (uint8_t rest = a.known & b.known; rest != 0; rest &= static_cast<uint8_t>(rest - 1)) {
    const int i = std::countr_zero(rest);
    if (!a.slots[i].SameAs(b.slots[i]) || a.slots[i].origin != b.slots[i].origin) {
      different |= PageBit(i);
    }
  }
  return different;
}

bool MergePage(PageRef& mine, const PageRef& theirs, bool widen, Tables& tables) {
  if (mine.get() == theirs.get()) return false;
  const StackPage& a = Content(mine);
  const StackPage& b = Content(theirs);
  const uint8_t different = DifferentSlots(a, b);
  auto zero = a.zero;
  uint8_t pointers = a.pointers;
  for (int i = 0; i < StackPage::kSlots; ++i) {
    zero[i] &= b.zero[i];
    if (!(a.known & PageBit(i)) && HoldsPointer(b, i)) pointers |= PageBit(i);
  }
  bool changed = pointers != a.pointers || zero != a.zero;
  if (!changed && different == 0) return false;
  StackPage& page = mine.Writable();
  page.zero = zero;
  page.pointers = pointers;
  for (uint8_t rest = different; rest != 0; rest &= static_cast<uint8_t>(rest - 1)) {
    const int i = std::countr_zero(rest);
    // Values of different widths are not compared: the slot just loses its value.
    if ((b.known & PageBit(i)) && page.slots[i].bytes == b.slots[i].bytes) {
      changed = JoinSlot(b.slots[i], i, widen, tables, page) || changed;
      continue;
    }
    if (HoldsPointer(page, i) || HoldsPointer(b, i)) page.pointers |= PageBit(i);
    page.known &= static_cast<uint8_t>(~PageBit(i));
    changed = true;
  }
  return changed;
}

}  // namespace

SlotSet SlotsBetween(int64_t low, int64_t high, uint32_t size) {
  low = std::max<int64_t>(low, -kStackBytes);
  const int64_t end = std::min<int64_t>(std::min<int64_t>(high, 0) + size, 0);  // exclusive
  if (end <= low) return 0;
  const auto first = static_cast<int>((low + kStackBytes) / 8);
  const auto last = static_cast<int>((end - 1 + kStackBytes) / 8);
  const SlotSet up_to_last = last == kStackSlots - 1 ? ~SlotSet{0} : SlotBit(last + 1) - 1;
  return up_to_last & ~(SlotBit(first) - 1);
}

StackPage& PageRef::Writable() {
  if (page_ != nullptr && page_->references == 1) return *page_;
  auto* own = page_ == nullptr ? new StackPage : new StackPage(*page_);
  own->references = 1;
  if (page_ != nullptr) --page_->references;  // shared, so that others keep it
  page_ = own;
  return *own;
}

Value Stack::Load(const Number& offset, uint32_t size) const {
  if (offset.IsConst()) return LoadAt(static_cast<int64_t>(offset.value()), size);
  if (size < 8) return Value::Of(Number::OfSize(size));
  for (SlotSet rest = SlotsBetween(offset.b64.smin, offset.b64.smax, size); rest != 0;
       rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    if (HoldsPointer(Content(pages_[slot / 8]), slot % 8)) return Value::OfKind(Kind::kUnknown);
  }
  return Value::Any();
}

Value Stack::LoadAt(int64_t offset, uint32_t size) const {
  const Value unread = Value::Of(Number::OfSize(size));
  if (offset < -kStackBytes || offset + size > 0) return Value::OfKind(Kind::kUnknown);
  const auto slot = static_cast<int>((offset + kStackBytes) / 8);
  const auto first = static_cast<uint32_t>((offset + kStackBytes) % 8);
  if (first + size > 8) return size < 8 ? unread : Value::OfKind(Kind::kUnknown);
  const StackPage& page = Content(pages_[slot / 8]);
  const int i = slot % 8;
  if (page.known & PageBit(i)) {
    const Value& value = page.slots[i];
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
  if ((page.zero[i] & bytes) == bytes) return Value::Of(Number::Const(0));
  if (size == 8 && (page.pointers & PageBit(i))) return Value::OfKind(Kind::kUnknown);
  return unread;
}

void Stack::Store(const Number& offset, uint32_t size, const Value& value) {
  if (offset.IsConst()) {
    StoreAt(static_cast<int64_t>(offset.value()), size, value);
    return;
  }
  // SOUND: one of these slots changes and the others do not: none keeps its value, and each may
  // hold what it held before.
  for (SlotSet rest = SlotsBetween(offset.b64.smin, offset.b64.smax, size); rest != 0;
       rest &= rest - 1) {
    const int slot = std::countr_zero(rest), i = slot % 8;
    StackPage& page = pages_[slot / 8].Writable();
    if (value.MayPointToStack() || HoldsPointer(page, i)) page.pointers |= PageBit(i);
    page.known &= static_cast<uint8_t>(~PageBit(i));
    page.zero[i] = 0;
  }
}

void Stack::StoreAt(int64_t offset, uint32_t size, const Value& value) {
  const auto first = static_cast<uint32_t>((offset + kStackBytes) & 7);
  if (offset < -kStackBytes || offset + size > 0 || first + size > 8) {
    Clobber(SlotsBetween(offset, offset, size));
    return;
  }
  const auto slot = static_cast<int>((offset + kStackBytes) / 8);
  const int i = slot % 8;
  StackPage& page = pages_[slot / 8].Writable();
  // SOUND: a pointer that is overwritten in part is no pointer any more; the verifier does not let
  // a program use what is left of it.
  page.pointers &= static_cast<uint8_t>(~PageBit(i));
  if (size == 8 && !value.IsNumber()) {
    page.slots[i] = value;
    page.known |= PageBit(i);
    page.zero[i] = 0;
    return;
  }
  const uint8_t bytes = ByteMask(first, size);
  page.known &= static_cast<uint8_t>(~PageBit(i));
  page.zero[i] &= static_cast<uint8_t>(~bytes);
  if (first != 0) {
    const bool is_zero = value.IsNumber() && LowBytes(value.number, size) == Number::Const(0);
    if (is_zero) page.zero[i] |= bytes;
    return;
  }
  Value stored = Value::Of(LowBytes(value.AsNumber(), size), value.origin);
  if (stored.number == Number::OfSize(size)) return;
  if (value.IsNumber() && stored.number == value.number) stored.set = value.set;
  stored.bytes = static_cast<uint8_t>(size);
  page.slots[i] = stored;
  page.known |= PageBit(i);
}

void Stack::Clobber(SlotSet slots) {
  for (size_t p = 0; p < pages_.size(); ++p) {
    const auto written = static_cast<uint8_t>(slots >> (p * StackPage::kSlots));
    if (written == 0) continue;
    StackPage& page = pages_[p].Writable();
    page.known &= static_cast<uint8_t>(~written);
    page.pointers |= written;
    for (int i = 0; i < StackPage::kSlots; ++i) {
      if (written & PageBit(i)) page.zero[i] = 0;
    }
  }
}

bool Stack::Merge(const Stack& other, bool widen, Tables& tables) {
  bool changed = false;
  for (size_t p = 0; p < pages_.size(); ++p) {
    changed = MergePage(pages_[p], other.pages_[p], widen, tables) || changed;
  }
  return changed;
}

}  // namespace bonsai::reachability
