// SPDX-License-Identifier: Apache-2.0
// What an object file's programs can reach with given constants. Offline: no agent, no root.
#pragma once

#include <absl/status/statusor.h>

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "agent/cli/table.h"

namespace bonsai::cli {

// `assignments`: "name=value", the name of a constant in snake_case or kebab-case, the value a
// number, true or false. InvalidArgument for a file or an assignment that cannot be.
absl::StatusOr<nlohmann::ordered_json> Analyze(const std::string& path,
                                               const std::vector<std::string>& assignments);

std::string RenderAnalysis(const nlohmann::ordered_json& analysis, Style style);

}  // namespace bonsai::cli
