// SPDX-License-Identifier: Apache-2.0
// What the engine says of each program, on its own, against what the kernel kept of it.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/reachability/liveness.h"
#include "tests/differential/oracle.h"

namespace bonsai::differential {

struct Counts {
  int64_t programs = 0, refused = 0;  // refused: by the kernel, so not compared
  // By kernel and engine alike; called dead but kept; called live but dropped.
  int64_t maps_kept = 0, maps_dropped = 0, maps_cut = 0, maps_missed = 0;
  int64_t functions_kept = 0, functions_dropped = 0, functions_cut = 0, functions_missed = 0;
  int64_t slots_kept = 0, slots_dropped = 0, slots_cut = 0, slots_missed = 0, slots_unclear = 0;
  int64_t tail_calls = 0, tail_calls_cut = 0, tail_calls_missed = 0;

  Counts& operator+=(const Counts& other);
  // Of the slots called live, the share that the kernel dropped.
  double MissedShare() const;
  std::string Text() const;
};

struct Difference {
  bool unsound = false;  // the engine called dead what the kernel kept; else it missed a cut
  std::string program;
  std::string what;      // e.g. "map m_x"
};

struct Comparison {
  Counts counts;
  std::vector<Difference> differences;  // of slots: the unsound ones only
  std::vector<Difference> missed_slots;
  std::vector<std::string> refusals;    // "program: what the verifier minded"
};

// Adds to `comparison`. Fails when the engine does.
absl::Status Compare(const object::ObjectSpec& object, const constants::ConstantSet& constants,
                     const std::map<std::string, KeptProgram>& kept, Comparison& comparison);

// "name=value ..." of constants that are not as the object holds them.
std::string Describe(const constants::ConstantSet& constants);

// "UNSOUND program: what" or "MISSED program: what", one a line, of the first few.
std::string Describe(const std::vector<Difference>& differences);

}  // namespace bonsai::differential
