// SPDX-License-Identifier: Apache-2.0
// What an object file's programs can reach with given constants. Offline: no agent, no root.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/cli/analyze_options.h"
#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/reachability/liveness.h"

namespace bonsai::cli {

struct Analysis {
  std::string path;                    // as it was given
  object::ObjectSpec object;           // with the tail slots that were given
  constants::ConstantSet constants;
  reachability::Liveness liveness;
  std::vector<bool> entries;           // parallel to the object's programs
  double read_seconds = 0;             // from the file to the ObjectSpec
  double analyse_seconds = 0;          // from there to the Liveness
};

// An error for a file, a name or a value that cannot be.
absl::StatusOr<Analysis> Analyze(const AnalyzeOptions& options);

}  // namespace bonsai::cli
