// SPDX-License-Identifier: Apache-2.0
// Settings that bring or end a thing; internal to plan/.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <vector>

#include "agent/plan/explain.h"
#include "agent/plan/explain_names.h"

namespace bonsai::plan {

struct Remedies {
  std::vector<Effect> alone;
  std::optional<Effect> together;  // looked for when none does alone
};

// `exists`: whether the thing does in the base world. That none are found says nothing.
absl::StatusOr<Remedies> FindRemedies(Trials& trials, Subject subject, const Found& found,
                                      bool exists);

}  // namespace bonsai::plan
