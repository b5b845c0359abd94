// SPDX-License-Identifier: Apache-2.0
// Names of what can be explained; internal to plan/.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/plan/explain.h"

namespace bonsai::plan {

// Where a name is: an object, and there the thing, or a data section of it that becomes a map.
struct Spot {
  size_t object = 0;              // index into Inputs::objects
  reachability::Thing thing;      // not of a data section
  std::optional<uint32_t> section;
};

struct Found {
  std::string name;               // as NamesOf() has it
  std::vector<Spot> spots;        // by object
};

// NotFound with the nearest known name.
absl::StatusOr<Found> FindThing(const Inputs& inputs, Subject subject, const std::string& name);
absl::StatusOr<const settings::SettingSpec*> FindSetting(const Inputs& inputs,
                                                         const std::string& name);

}  // namespace bonsai::plan
