// SPDX-License-Identifier: Apache-2.0
// Sizing advice: settings whose maps are far larger than what they ever held, or nearly full. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"

namespace bonsai::plan {

// Advice to shrink wants a map larger than this, this long watched and never fuller than that;
// advice to grow wants a map that was fuller than kNearRatio, at once.
inline constexpr uint64_t kWorthShrinkingBytes = 1 << 20;
inline constexpr double kWatchSeconds = 600;
inline constexpr double kFarRatio = 0.1, kNearRatio = 0.8;

// The fullest that a map was while it was watched.
struct MapPeak {
  uint64_t entries = 0;
  double watched_seconds = 0;
  uint64_t bytes = 0;             // what it takes now
};

struct SizingAdvice {
  std::string setting;
  std::string map;                // the fullest of those that the setting sizes
  uint64_t size = 0;              // the setting now
  uint64_t peak = 0;              // entries of `map`
  uint64_t suggested = 0;         // a value that the setting allows
  int64_t bytes = 0;              // kernel memory of all its maps; negative: saved
};

// One a setting at most, by key. `peaks`: by map, of maps that exist and are counted; a setting with
// a created map that is not counted gets none.
std::vector<SizingAdvice> AdviseSizes(const settings::Schema& schema, const LoadPlan& plan,
                                      const std::map<std::string, MapPeak>& peaks,
                                      const CostFacts& costs);

}  // namespace bonsai::plan
