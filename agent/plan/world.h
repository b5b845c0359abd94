// SPDX-License-Identifier: Apache-2.0
// A World: settings, the plan they make and the analyses behind it. Pure. For questions of the kind
// "what if", where many worlds differ in one setting each.
#pragma once

#include <absl/status/statusor.h>

#include <set>
#include <string>
#include <vector>

#include "agent/plan/inputs.h"
#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"

namespace bonsai::plan {

// What some settings make of the inputs. Holds pointers into Inputs::objects.
struct World {
  settings::Settings settings;
  std::vector<AnalyzedObject> objects;  // parallel to Inputs::objects
  LoadPlan plan;
};

// Analyses every object whose constants differ from those in `near`; of the others, `near` has the
// liveness already. `cancelled` is asked before each analysis; true ends with Cancelled. Other errors
// are those of constants::Resolve(), reachability::Analyze() and Make().
absl::StatusOr<World> MakeWorld(const Inputs& inputs, const settings::Settings& settings,
                                Reasons reasons, const World* near, const Cancelled& cancelled);

// What exists in such a world, by name.
struct Things {
  std::set<std::string> maps;       // as in the plan
  std::set<std::string> programs;   // "object/program"
  std::set<std::string> functions;  // "object/function", those that some loaded program can run
  bool empty() const { return maps.empty() && programs.empty() && functions.empty(); }
};
Things ThingsIn(const World& world);

}  // namespace bonsai::plan
