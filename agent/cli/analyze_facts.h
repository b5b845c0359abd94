// SPDX-License-Identifier: Apache-2.0
// What every form of an analysis shows: the liveness beside what the code names, dead or alive.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/cli/analyze.h"
#include "agent/object/object_spec.h"

namespace bonsai::cli {

struct TailCall {
  object::TailSlot slot;
  bool live = false;
};

struct ProgramFacts {
  std::vector<uint32_t> functions;   // its own, then all that its code can call, dead or alive
  uint64_t slots = 0, live_slots = 0;  // over `functions`
  // Maps of its live functions: those that live instructions refer to, and the others.
  std::vector<uint32_t> live_maps, dead_maps;
  // Slots it may jump to; not live: those that only its dead code names.
  std::vector<TailCall> tail_calls;
};

struct Facts {
  std::vector<ProgramFacts> programs;     // parallel to the object's
  std::vector<std::string> map_reasons;   // parallel to the object's: why it is dead or alive
  std::vector<std::string> program_reasons;  // why it is dead; "" for an entry
};

Facts FactsOf(const Analysis& analysis);

}  // namespace bonsai::cli
