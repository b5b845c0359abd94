// SPDX-License-Identifier: Apache-2.0
// Stack: what the 512 bytes below r10 of one frame may hold. Copies share everything until one of
// them writes, and then all but the page of eight slots that is written.
//
// It keeps what the kernel's verifier keeps, so that both see the same branches decided: a value
// stored at the start of a slot (of 1, 2, 4 or 8 bytes), and which bytes are zero.
#pragma once

#include <array>
#include <cstdint>

#include "agent/reachability/shared_ref.h"
#include "agent/reachability/value.h"

namespace bonsai::reachability {

struct Tables;

inline constexpr int kStackBytes = 512;
inline constexpr int kStackSlots = kStackBytes / 8;

// Slots, lowest address first, as a set of bits.
using SlotSet = uint64_t;

// Slots touched by `size` bytes at any offset in [low, high] from r10. Outside of the frame: none,
// for no program that the kernel loads gets there.
SlotSet SlotsBetween(int64_t low, int64_t high, uint32_t size);

struct StackPage {
  static constexpr int kSlots = 8;

  // Set up as a copy of `other`, or, if that is null, as a page of which nothing is known.
  void Become(const StackPage* other);
  void Clear() {}
  uint8_t ZeroOf(int slot) const { return static_cast<uint8_t>(zero >> (slot * 8)); }
  void SetZero(int slot, uint8_t bytes) {
    zero = (zero & ~(uint64_t{0xff} << (slot * 8))) | uint64_t{bytes} << (slot * 8);
  }
  void Forget(int slot) { known &= static_cast<uint8_t>(~(1u << slot)); }
  void Know(int slot, const Value& value);

  uint8_t known = 0;      // slots with a value in `slots`
  uint8_t pointers = 0;   // slots that may hold a pointer into a stack
  uint64_t zero = 0;      // bytes that are zero and not in a value: a bit each, slot by slot
  std::array<Value, kSlots> slots;

  uint32_t references = 0;
  union {
    Pool<StackPage>* pool;  // in use
    StackPage* next_free;   // in the pool
  };
};

struct StackRoot {
  void Become(const StackRoot* other) {
    if (other != nullptr) pages = other->pages;
  }
  void Clear() { pages = {}; }

  std::array<SharedRef<StackPage>, kStackSlots / StackPage::kSlots> pages;

  uint32_t references = 0;
  union {
    Pool<StackRoot>* pool;
    StackRoot* next_free;
  };
};

struct StackPools {
  Pool<StackPage> pages;  // outlives the roots, which refer to it
  Pool<StackRoot> roots;
};

class Stack {
 public:
  // `size` bytes at r10 + `offset`.
  Value Load(Scalar offset, uint32_t size, Tables& tables) const;
  void Store(Scalar offset, uint32_t size, const Value& value, Tables& tables);
  // Something else may have written to these slots, pointers too.
  void Clobber(SlotSet slots, StackPools& pools);
  // The same for `size` bytes from r10 + `offset` on: other bytes that are zero stay so.
  void ClobberBytes(int64_t offset, uint32_t size, StackPools& pools);
  // Takes `other` in. True: that said something new. `widen`: see Tables::Join.
  bool Merge(const Stack& other, bool widen, Tables& tables);
  // Whether every content of `other` is one of this.
  bool Covers(const Stack& other, const Tables& tables) const;
  // Slots that hold two different constants.
  SlotSet DifferentConstants(const Stack& other) const;
  bool SameAs(const Stack& other) const { return root_.get() == other.root_.get(); }

 private:
  Value LoadAt(int64_t offset, uint32_t size, Tables& tables) const;
  void StoreAt(int64_t offset, uint32_t size, const Value& value, Tables& tables);
  const StackPage& Page(size_t page) const;
  StackPage& Writable(size_t page, StackPools& pools) {
    return root_.Writable(pools.roots).pages[page].Writable(pools.pages);
  }
  bool MergePage(size_t page, const StackPage& other, bool widen, Tables& tables);

  SharedRef<StackRoot> root_;
};

}  // namespace bonsai::reachability
