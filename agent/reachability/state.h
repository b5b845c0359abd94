// SPDX-License-Identifier: Apache-2.0
// State: registers and the 512 bytes of stack at one point of a function. SavedState: the same at
// the start of a block, without what says nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "agent/reachability/insn.h"
#include "agent/reachability/value.h"

namespace bonsai::reachability {

inline constexpr int kStackBytes = 512;
inline constexpr int kStackSlots = kStackBytes / 8;

// Slots, lowest address first, as a set of bits.
using SlotSet = uint64_t;

// Slots touched by `size` bytes at any offset in [low, high] from r10. Outside of the frame: none,
// for no program that the kernel loads gets there.
SlotSet SlotsBetween(int64_t low, int64_t high, uint32_t size);

// The stack keeps what the kernel's verifier keeps, so that both see the same branches decided: a
// value stored at the start of a slot (of 1, 2, 4 or 8 bytes), and which bytes are zero.
struct State {
  std::array<Value, kRegisters> registers;
  SlotSet known = 0;      // slots with a value in `slots`
  SlotSet pointers = 0;   // slots without one that may hold a pointer into a stack
  std::array<uint8_t, kStackSlots> zero;  // by slot: its bytes that are zero and not in its value
  std::array<Value, kStackSlots> slots;   // only where known

  void Clear();           // no register and no slot says anything

  // `size` bytes at r10 + `offset`.
  Value Load(const Number& offset, uint32_t size) const;
  void Store(const Number& offset, uint32_t size, const Value& value);
  // Something else may have written to these slots, pointers too.
  void Clobber(SlotSet slots);

 private:
  Value LoadAt(int64_t offset, uint32_t size) const;
  void StoreAt(int64_t offset, uint32_t size, const Value& value);
};

class SavedState {
 public:
  bool present() const { return present_; }

  // Takes `state` in, of its registers those in `live` (the same ones each time). True: that said
  // something new. `widen`: see JoinValues.
  bool Merge(const State& state, RegisterSet live, bool widen, Tables& tables);
  // Anything may be anywhere. True: that is new.
  bool MergeEverything();
  void Restore(State& state) const;

 private:
  // Goes through values_ in order: joins each with what comes in, closes the gaps.
  class Merger;

  void Save(const State& state, RegisterSet live);
  void MergeRegisters(const State& state, RegisterSet live, Merger& merger);
  void MergeSlots(const State& state, Merger& merger);
  bool MergePointersAndZeros(const State& state);

  bool present_ = false;
  RegisterSet stored_registers_ = 0;  // those in values_; others are numbers, or as these say:
  RegisterSet foreign_registers_ = 0, unknown_registers_ = 0;
  SlotSet stored_slots_ = 0;
  SlotSet pointers_ = 0;
  std::array<uint8_t, kStackSlots> zero_;
  std::vector<Value> values_;      // stored registers, then stored slots, in order
};

}  // namespace bonsai::reachability
