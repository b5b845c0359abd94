// SPDX-License-Identifier: Apache-2.0
// What each feature costs: the difference of two plans, with it and without it. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/plan/change.h"
#include "agent/plan/inputs.h"

namespace bonsai::plan {

// Of a feature that is on: what would go with it. Of one that is off: what would come. At the
// configured sizes; a feature that shares its maps with others costs what it alone brings.
struct FeatureCost {
  std::string feature;
  std::string setting;             // its toggle
  bool on = false;
  // Toggles that must change with it: what it needs and is off, or what needs it and is on.
  std::vector<std::string> with;
  int64_t map_bytes = 0;           // kernel memory; of maps that exist, measured
  int32_t maps = 0;                // data sections and tail-call arrays included
  int32_t programs = 0;            // tail calls included
  int64_t instructions = 0;        // live slots; negative where other code becomes longer without it
};

// Whether a setting switches a feature as a whole.
bool IsToggle(const settings::SettingSpec& spec);

// One for each toggle of the schema, in its order. One plan a feature is made, so callers keep the
// result for as long as `settings` and `plan` are in force. Cancelled when `cancelled` says so.
absl::StatusOr<std::vector<FeatureCost>> FeatureCosts(const Inputs& inputs,
                                                      const settings::Settings& settings,
                                                      const LoadPlan& plan, const MapUses& maps,
                                                      const Cancelled& cancelled);

}  // namespace bonsai::plan
