// SPDX-License-Identifier: Apache-2.0
// State: registers and stack at one point of a function. SavedState: the same at the start of a
// block, without what is not read again or says nothing.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "agent/reachability/insn.h"
#include "agent/reachability/stack.h"
#include "agent/reachability/value.h"

namespace bonsai::reachability {

struct State {
  std::array<Value, kRegisters> registers;
  Stack stack;
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
  void SaveRegisters(const State& state, RegisterSet live);
  bool MergeRegisters(const State& state, RegisterSet live, bool widen, Tables& tables);

  bool present_ = false;
  bool everything_ = false;           // MergeEverything() was called: nothing can be new
  RegisterSet stored_registers_ = 0;  // those in values_; others are numbers, or as these say:
  RegisterSet foreign_registers_ = 0, unknown_registers_ = 0;
  std::vector<Value> values_;         // of stored registers, in order
  Stack stack_;
};

}  // namespace bonsai::reachability
