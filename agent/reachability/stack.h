// SPDX-License-Identifier: Apache-2.0
// Stack: what the 512 bytes below r10 may hold. Pages of eight slots are shared between copies until
// one of them is written, so that states cost what differs between them.
//
// It keeps what the kernel's verifier keeps, so that both see the same branches decided: a value
// stored at the start of a slot (of 1, 2, 4 or 8 bytes), and which bytes are zero.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "agent/reachability/value.h"

namespace bonsai::reachability {

inline constexpr int kStackBytes = 512;
inline constexpr int kStackSlots = kStackBytes / 8;

// Slots, lowest address first, as a set of bits.
using SlotSet = uint64_t;

// Slots touched by `size` bytes at any offset in [low, high] from r10. Outside of the frame: none,
// for no program that the kernel loads gets there.
SlotSet SlotsBetween(int64_t low, int64_t high, uint32_t size);

struct StackPage {
  static constexpr int kSlots = 8;

  uint32_t references = 0;
  uint8_t known = 0;      // slots with a value in `slots`
  uint8_t pointers = 0;   // slots without one that may hold a pointer into a stack
  std::array<uint8_t, kSlots> zero{};  // by slot: its bytes that are zero and not in its value
  std::array<Value, kSlots> slots;
};

// Owns a reference; a null one stands for a page of which nothing is known. One thread only.
class PageRef {
 public:
  PageRef() = default;
  PageRef(const PageRef& other) : page_(other.page_) {
    if (page_ != nullptr) ++page_->references;
  }
  PageRef(PageRef&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  PageRef& operator=(PageRef other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~PageRef() {
    if (page_ != nullptr && --page_->references == 0) delete page_;
  }

  const StackPage* get() const { return page_; }
  // This reference's own copy.
  StackPage& Writable();

 private:
  StackPage* page_ = nullptr;
};

class Stack {
 public:
  // `size` bytes at r10 + `offset`.
  Value Load(const Number& offset, uint32_t size) const;
  void Store(const Number& offset, uint32_t size, const Value& value);
  // Something else may have written to these slots, pointers too.
  void Clobber(SlotSet slots);
  // Takes `other` in. True: that said something new. `widen`: see JoinValues.
  bool Merge(const Stack& other, bool widen, Tables& tables);

 private:
  Value LoadAt(int64_t offset, uint32_t size) const;
  void StoreAt(int64_t offset, uint32_t size, const Value& value);

  std::array<PageRef, kStackSlots / StackPage::kSlots> pages_;
};

}  // namespace bonsai::reachability
