// SPDX-License-Identifier: Apache-2.0
// What values refer to by number, and what needs it; one for each analysis.
#pragma once

#include "agent/reachability/number_table.h"
#include "agent/reachability/provenance.h"
#include "agent/reachability/stack.h"
#include "agent/reachability/value.h"

namespace bonsai::reachability {

struct Tables {
  Provenance provenance;
  NumberTable numbers;
  StackPools stacks;
  // A function's address was mixed with something else, so that a callback may be any function
  // whose address is taken.
  bool function_lost = false;

  // What holds both. `widen`: bounds of `next` that moved since `before` give up, so that chains
  // stay short.
  Value Join(const Value& before, const Value& next, bool widen);
  // Whether all that `small` may be is in `big`.
  bool Covers(const Value& big, const Value& small) const;
  // Bounds of an offset.
  Bounds64 BoundsOf(Scalar scalar) const;
};

}  // namespace bonsai::reachability
