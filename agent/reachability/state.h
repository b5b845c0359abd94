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

// Where two states hold different constants, so that joining them forgets which goes with which.
struct Contrast {
  int places = 0;       // registers and stack slots
  bool origins = false;  // some of those in registers rest on constants of the object
  bool objects = false;  // some of them are maps or functions
};
Contrast ContrastOf(const State& a, const State& b, RegisterSet live);

}  // namespace bonsai::reachability
