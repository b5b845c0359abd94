// SPDX-License-Identifier: Apache-2.0
// What other values of constants would bring or cut. Pure, one thread.
//
// Each answer is that of an analysis with the constant changed, so that a change which is said to
// cut a thing does: never can it run then. That a change brings a thing means that the engine can
// not rule it out any more. Only the values named are tried; others may do more.
//
// Cost: one analysis of the object for each value tried. Constants that no live code reads are not
// tried, for changing one of them alone changes nothing.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/reachability/explain.h"

namespace bonsai::reachability {

struct Change {
  uint32_t constant = 0;   // index into ObjectSpec::constants
  std::string name;
  std::string from, to;    // as `agentctl analyze --set` takes them
  int64_t value = 0;       // `to`, for constants::Override()
};

struct Outcomes {
  Change change;
  std::vector<Thing> gone, come;  // by kind and index; both empty: nothing but instructions
};

struct WhatIf {
  std::vector<Outcomes> changes;      // each constant alone, by constant, then value
  std::vector<uint32_t> unread;       // constants that no live code reads
  std::vector<uint32_t> no_numbers;   // constants that are not tried: structs, arrays, ...
  uint32_t analyses = 0;
};

struct WhatIfLimits {
  uint32_t values = 6;     // of one integer constant
  uint32_t analyses = 192;  // to look for one combination
};

// All single changes: bools flipped; integers set to 0, to the bounds of their range, and to the
// values that make a difference where they are compared.
absl::StatusOr<WhatIf> Alternatives(const object::ObjectSpec& object,
                                    const constants::ConstantSet& constants,
                                    const std::vector<std::string>& entries = {},
                                    const WhatIfLimits& limits = {});

// The changes that alone make the thing dead, or alive.
std::vector<Change> Cutting(const WhatIf& alternatives, Thing thing);
std::vector<Change> Bringing(const WhatIf& alternatives, Thing thing);

struct Combination {
  bool found = false;
  std::vector<Change> changes;  // all of them together bring the thing; none can be left out
  uint32_t analyses = 0;
};

// Looks for changes that bring a dead thing: opens one deciding place after another, the one
// nearest to the thing first, and where none can be opened tries all constants. That it finds none
// says nothing.
absl::StatusOr<Combination> Bring(const object::ObjectSpec& object,
                                  const constants::ConstantSet& constants, Thing thing,
                                  const std::vector<std::string>& entries = {},
                                  const WhatIfLimits& limits = {});

}  // namespace bonsai::reachability
