// SPDX-License-Identifier: Apache-2.0
// Sums over a snapshot that more than one reader shows. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/plan/sizing.h"
#include "agent/report/snapshot.h"

namespace bonsai::report {

struct DatapathSummary {
  uint32_t entries_loaded = 0, entries_total = 0;  // programs on hooks
  uint32_t tails_loaded = 0, tails_total = 0;      // tail-call programs
  uint64_t live_insns = 0, total_insns = 0;        // slots; live: of objects that are needed
  uint32_t neutralised = 0;                        // functions in no program, by name and object
};
DatapathSummary SummarizeDatapath(const Snapshot& snapshot);

struct Pressure {
  std::string map;
  uint64_t entries = 0, max_entries = 0;
  double ratio = 0;  // 0..1
};
// Of maps whose entries are counted, fullest first.
std::vector<Pressure> Pressures(const Snapshot& snapshot);

// Settings that fit badly what their maps have held so far.
std::vector<plan::SizingAdvice> SizingAdvices(const Snapshot& snapshot);

// Services, each counted once however many addresses and ports it has.
uint32_t CountServices(const Snapshot& snapshot);

// Measured bytes of a map that exists, else what the plan predicts.
uint64_t BytesOf(const plan::MapPlan& map, const Snapshot& snapshot);

}  // namespace bonsai::report
