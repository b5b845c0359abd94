// SPDX-License-Identifier: Apache-2.0
// Inputs: all that a plan is made from but the settings, as immutable values that any thread may
// hold on to. The same inputs and settings make the same plan, on a node or away from it.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"

namespace bonsai::plan {

struct Inputs {
  std::shared_ptr<const std::vector<object::ObjectSpec>> objects;
  std::shared_ptr<const settings::Schema> schema;
  constants::NodeConstants node;               // {"kernel_hz", 250}
  CostFacts costs;
  std::vector<std::string> missing_map_types;  // that this kernel lacks, by name ("ringbuf")
};

// Asked between two objects, every few milliseconds: whether nobody waits for the answer any more.
using Cancelled = std::function<bool()>;

// Objects, schema and what the node tells without privileges: every *.bpf.o of a directory, for
// plans without an agent. NotFound: there is none; InvalidArgument: one is broken.
absl::StatusOr<Inputs> ReadInputs(const std::string& directory);

// All settings: the agent's own and the objects' constants.
absl::StatusOr<settings::Schema> MakeSchema(const std::vector<object::ObjectSpec>& objects);

// CPUs and pages of this machine, and the kernel's own sizes where it tells them (CostFacts::measured).
CostFacts GatherCostFacts();

// Reasons of what is dead cost as much time as the plan itself, so they are made when asked for.
enum class Reasons { kNone, kExplained };

// What these settings make of the objects. Cancelled when `cancelled` says so; else as Make().
absl::StatusOr<LoadPlan> MakeFor(const Inputs& inputs, const settings::Settings& settings,
                                 Reasons reasons, const Cancelled& cancelled);

}  // namespace bonsai::plan
