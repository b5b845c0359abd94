// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/stack.h"

#include <algorithm>
#include <bit>

#include "agent/reachability/tables.h"

namespace bonsai::reachability {
namespace {

const StackPage kNothingKnown{};

constexpr SlotSet SlotBit(int slot) { return SlotSet{1} << slot; }
constexpr uint8_t PageBit(int slot) { return static_cast<uint8_t>(1u << slot); }

uint8_t ByteMask(uint32_t first, uint32_t count) {
  return static_cast<uint8_t>(((1u << count) - 1) << first);
}

uint32_t BytesOf(const Value& slot) { return slot.bytes == 0 ? 8 : slot.bytes; }

// Joins slot `i`, which has a value in both, into `page`. True: that said something new.
bool JoinSlot(const Value& next, int i, bool widen, Tables& tables, StackPage& page) {
  Value& slot = page.slots[i];
  if (slot.SameAs(next)) {
    slot.origin = tables.provenance.Union(slot.origin, next.origin);
    return false;
  }
  const Value value = tables.Join(slot, next, widen);
  const bool changed = !value.SameAs(slot);
  page.Know(i, value);
  return changed;
}

// Slots of `a` whose value is not the same in `b`.
uint8_t DifferentSlots(const StackPage& a, const StackPage& b) {
  uint8_t different = a.known & static_cast<uint8_t>(~b.known);
  for (uint8_t rest = a.known & b.known; rest != 0; rest &= static_cast<uint8_t>(rest - 1)) {
    const int i = std::countr_zero(rest);
    if (a.slots[i] != b.slots[i]) different |= PageBit(i);
  }
  return different;
}

bool CoversPage(const StackPage& a, const StackPage& b, const Tables& tables) {
  if ((a.zero & ~b.zero) != 0 || (a.known & ~b.known) != 0) return false;
  if ((b.pointers & ~a.pointers & ~a.known) != 0) return false;
  for (uint8_t rest = a.known; rest != 0; rest &= static_cast<uint8_t>(rest - 1)) {
    const int i = std::countr_zero(rest);
    if (!tables.Covers(a.slots[i], b.slots[i])) return false;
  }
  return true;
}

}  // namespace

void StackPage::Become(const StackPage* other) {
  known = other == nullptr ? 0 : other->known;
  pointers = other == nullptr ? 0 : other->pointers;
  zero = other == nullptr ? 0 : other->zero;
  // SOUND: what is not known is not read.
  if (known != 0) slots = other->slots;
}

// A value that says nothing, or no more than that it may be a pointer, is not kept.
void StackPage::Know(int slot, const Value& value) {
  const auto bit = PageBit(slot);
  known &= static_cast<uint8_t>(~bit);
  pointers &= static_cast<uint8_t>(~bit);
  if (value.MayPointToStack()) pointers |= bit;
  if (value.kind == Kind::kForeign || value.kind == Kind::kUnknown || value.IsAny()) return;
  slots[static_cast<size_t>(slot)] = value;
  known |= bit;
}

SlotSet SlotsBetween(int64_t low, int64_t high, uint32_t size) {
  low = std::max<int64_t>(low, -kStackBytes);
  const int64_t end = std::min<int64_t>(std::min<int64_t>(high, 0) + size, 0);  // exclusive
  if (end <= low) return 0;
  const auto first = static_cast<int>((low + kStackBytes) / 8);
  const auto last = static_cast<int>((end - 1 + kStackBytes) / 8);
  const SlotSet up_to_last = last == kStackSlots - 1 ? ~SlotSet{0} : SlotBit(last + 1) - 1;
  return up_to_last & ~(SlotBit(first) - 1);
}

const StackPage& Stack::Page(size_t page) const {
  const StackPage* found = root_.get() == nullptr ? nullptr : root_.get()->pages[page].get();
  return found == nullptr ? kNothingKnown : *found;
}

Value Stack::Load(Scalar offset, uint32_t size, Tables& tables) const {
  if (offset.is_const) return LoadAt(static_cast<int64_t>(offset.payload), size, tables);
  if (size < 8) return Value::Of(Scalar::OfSize(size));
  const Bounds64 at = tables.BoundsOf(offset);
  for (SlotSet rest = SlotsBetween(at.smin, at.smax, size); rest != 0; rest &= rest - 1) {
    const int slot = std::countr_zero(rest);
    if (Page(static_cast<size_t>(slot) / 8).pointers & PageBit(slot % 8)) {
      return Value::OfKind(Kind::kUnknown);
    }
  }
  return Value::Any();
}

Value Stack::LoadAt(int64_t offset, uint32_t size, Tables& tables) const {
  const Value unread = Value::Of(Scalar::OfSize(size));
  if (offset < -kStackBytes || offset + size > 0) return Value::OfKind(Kind::kUnknown);
  const auto slot = static_cast<int>((offset + kStackBytes) / 8);
  const auto first = static_cast<uint32_t>((offset + kStackBytes) % 8);
  if (first + size > 8) return size < 8 ? unread : Value::OfKind(Kind::kUnknown);
  const StackPage& page = Page(static_cast<size_t>(slot) / 8);
  const int i = slot % 8;
  if (page.known & PageBit(i)) {
    const Value& value = page.slots[i];
    if (first == 0 && size == BytesOf(value)) {
      Value loaded = value;
      loaded.bytes = 0;
      return loaded;
    }
    if (first + size <= BytesOf(value) && value.IsNumber()) {
      if (first == 0) return Value::Of(tables.numbers.LowBytes(value.scalar(), size), value.origin);
      if (value.scalar().Is(0)) return Value::Const(0, value.origin);
    }
  }
  const uint8_t bytes = ByteMask(first, size);
  if ((page.ZeroOf(i) & bytes) == bytes) return Value::Const(0);
  if (size == 8 && (page.pointers & PageBit(i))) return Value::OfKind(Kind::kUnknown);
  return unread;
}

void Stack::Store(Scalar offset, uint32_t size, const Value& value, Tables& tables) {
  if (offset.is_const) {
    StoreAt(static_cast<int64_t>(offset.payload), size, value, tables);
    return;
  }
  // SOUND: one of these slots changes and the others do not: none keeps its value, and each may
  // hold what it held before.
  const Bounds64 at = tables.BoundsOf(offset);
  for (SlotSet rest = SlotsBetween(at.smin, at.smax, size); rest != 0; rest &= rest - 1) {
    const int slot = std::countr_zero(rest), i = slot % 8;
    StackPage& page = Writable(static_cast<size_t>(slot) / 8, tables.stacks);
    // What is zero stays so when zero is written, wherever that is.
    const bool zero = value.IsNumber() && value.scalar().Is(0);
    if (zero && (page.known & PageBit(i)) && page.slots[i].IsNumber() &&
        page.slots[i].scalar().Is(0)) {
      continue;
    }
    if (value.MayPointToStack()) page.pointers |= PageBit(i);
    page.Forget(i);
    if (!zero) page.SetZero(i, 0);
  }
}

void Stack::StoreAt(int64_t offset, uint32_t size, const Value& value, Tables& tables) {
  const auto first = static_cast<uint32_t>((offset + kStackBytes) & 7);
  if (offset < -kStackBytes || offset + size > 0 || first + size > 8) {
    Clobber(SlotsBetween(offset, offset, size), tables.stacks);
    return;
  }
  const auto slot = static_cast<int>((offset + kStackBytes) / 8);
  const int i = slot % 8;
  StackPage& page = Writable(static_cast<size_t>(slot) / 8, tables.stacks);
  if (size == 8 && !value.IsNumber()) {
    page.Know(i, value);
    page.slots[i].bytes = 0;
    page.SetZero(i, 0);
    return;
  }
  // SOUND: a pointer that is overwritten in part is no pointer any more; the verifier does not let
  // a program use what is left of it.
  page.pointers &= static_cast<uint8_t>(~PageBit(i));
  page.Forget(i);
  const uint8_t bytes = ByteMask(first, size);
  const auto kept = static_cast<uint8_t>(page.ZeroOf(i) & ~bytes);
  const Scalar stored = tables.numbers.LowBytes(value.AsNumber(), size);
  if (first != 0) {
    // Zero as a whole, as the verifier has it, not just in what is stored.
    page.SetZero(i, value.IsNumber() && value.scalar().Is(0) ? kept | bytes : kept);
    return;
  }
  // What is stored at the start of a slot is a spill to the verifier, which then forgets the rest.
  page.SetZero(i, 0);
  if (stored == Scalar::OfSize(size)) return;
  Value spilled = Value::Of(stored, value.origin);
  spilled.bytes = size == 8 ? 0 : size & 7;
  page.Know(i, spilled);
}

void Stack::Clobber(SlotSet slots, StackPools& pools) {
  for (size_t p = 0; p < kStackSlots / StackPage::kSlots; ++p) {
    const auto written = static_cast<uint8_t>(slots >> (p * StackPage::kSlots));
    if (written == 0) continue;
    StackPage& page = Writable(p, pools);
    page.known &= static_cast<uint8_t>(~written);
    page.pointers |= written;
    for (int i = 0; i < StackPage::kSlots; ++i) {
      if (written & PageBit(i)) page.SetZero(i, 0);
    }
  }
}

void Stack::ClobberBytes(int64_t offset, uint32_t size, StackPools& pools) {
  const int64_t first = std::max<int64_t>(offset, -kStackBytes);
  const int64_t end = std::min<int64_t>(offset + size, 0);
  for (int64_t at = first; at < end;) {
    const auto slot = static_cast<int>((at + kStackBytes) / 8);
    const int64_t next = std::min<int64_t>(end, (slot + 1) * 8 - kStackBytes);
    const int i = slot % 8;
    StackPage& page = Writable(static_cast<size_t>(slot) / 8, pools);
    const uint8_t bytes = ByteMask(static_cast<uint32_t>((at + kStackBytes) % 8),
                                   static_cast<uint32_t>(next - at));
    page.pointers |= PageBit(i);
    page.Forget(i);
    page.SetZero(i, static_cast<uint8_t>(page.ZeroOf(i) & ~bytes));
    at = next;
  }
}

bool Stack::MergePage(size_t p, const StackPage& b, bool widen, Tables& tables) {
  const StackPage& a = Page(p);
  const uint8_t different = DifferentSlots(a, b);
  const uint64_t zero = a.zero & b.zero;
  // Of slots with a value in both, the join says whether it may be a pointer.
  const uint8_t pointers = a.pointers | (b.pointers & static_cast<uint8_t>(~a.known));
  bool changed = pointers != a.pointers || zero != a.zero;
  if (!changed && different == 0) return false;
  StackPage& page = Writable(p, tables.stacks);
  page.zero = zero;
  page.pointers = pointers;
  for (uint8_t rest = different; rest != 0; rest &= static_cast<uint8_t>(rest - 1)) {
    const int i = std::countr_zero(rest);
    // Values of different widths are not compared: the slot just loses its value.
    if ((b.known & PageBit(i)) && page.slots[i].bytes == b.slots[i].bytes) {
      changed = JoinSlot(b.slots[i], i, widen, tables, page) || changed;
      continue;
    }
    tables.function_lost = tables.function_lost || page.slots[i].kind == Kind::kFunction;
    page.Forget(i);
    page.pointers |= b.pointers & PageBit(i);
    changed = true;
  }
  return changed;
}

bool Stack::Merge(const Stack& other, bool widen, Tables& tables) {
  if (root_.get() == other.root_.get()) return false;
  bool changed = false;
  for (size_t p = 0; p < kStackSlots / StackPage::kSlots; ++p) {
    const StackPage& mine = Page(p);
    const StackPage& theirs = other.Page(p);
    if (&mine != &theirs) changed = MergePage(p, theirs, widen, tables) || changed;
  }
  return changed;
}

bool Stack::Covers(const Stack& other, const Tables& tables) const {
  if (root_.get() == other.root_.get()) return true;
  for (size_t p = 0; p < kStackSlots / StackPage::kSlots; ++p) {
    const StackPage& mine = Page(p);
    const StackPage& theirs = other.Page(p);
    if (&mine != &theirs && !CoversPage(mine, theirs, tables)) return false;
  }
  return true;
}

SlotSet Stack::DifferentConstants(const Stack& other) const {
  SlotSet different = 0;
  if (root_.get() == other.root_.get()) return different;
  for (size_t p = 0; p < kStackSlots / StackPage::kSlots; ++p) {
    const StackPage& mine = Page(p);
    const StackPage& theirs = other.Page(p);
    if (&mine == &theirs) continue;
    for (uint8_t rest = mine.known & theirs.known; rest != 0; rest &= static_cast<uint8_t>(rest - 1)) {
      const int i = std::countr_zero(rest);
      const Value& a = mine.slots[i];
      const Value& b = theirs.slots[i];
      if (!a.SameAs(b) && a.is_const && b.is_const) {
        different |= SlotBit(static_cast<int>(p) * StackPage::kSlots + i);
      }
    }
  }
  return different;
}

}  // namespace bonsai::reachability
