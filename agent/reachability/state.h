// SPDX-License-Identifier: Apache-2.0
// State: registers and stacks at one point of a function.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "agent/reachability/insn.h"
#include "agent/reachability/stack.h"
#include "agent/reachability/tables.h"
#include "agent/reachability/value.h"

namespace bonsai::reachability {

// Frames of calling functions that are visible here, the outermost first.
using Frames = std::vector<Stack>;

struct State {
  std::array<Value, kRegisters> registers;
  Stack stack;                // the function's own frame, number callers() of all visible ones
  std::shared_ptr<const Frames> frames;  // null: none

  uint32_t callers() const { return frames == nullptr ? 0 : static_cast<uint32_t>(frames->size()); }
  const Stack& Frame(uint32_t frame) const {
    return frame >= callers() ? stack : (*frames)[frame];
  }
  // Calls `change` with the stack of a frame.
  template <typename Change>
  void ChangeFrame(uint32_t frame, Change change) {
    if (frame >= callers()) {
      change(stack);
      return;
    }
    auto changed = std::make_shared<Frames>(*frames);
    change((*changed)[frame]);
    frames = std::move(changed);
  }
  // Anything may have been written to any frame that is visible.
  void ClobberAll(StackPools& pools);
  // The own frame becomes that of a caller, or the last caller's frame the own one again.
  void PushFrame();
  void PopFrame();

  // Takes `other` in, of its registers those in `live`; both have the same number of callers. True:
  // that said something new. `widen`: see Tables::Join.
  bool Merge(const State& other, RegisterSet live, bool widen, Tables& tables);
  bool MergeFrames(const State& other, bool widen, Tables& tables);
  // Whether all that `other` may hold, of its registers those in `live`, is in this.
  bool Covers(const State& other, RegisterSet live, const Tables& tables) const;
};

// Registers in `live`, slots of the own stack in `slots` and slots of callers that hold different
// constants in two states, so that joining forgets which goes with which.
int Contrast(const State& a, const State& b, RegisterSet live, SlotSet slots);

}  // namespace bonsai::reachability
