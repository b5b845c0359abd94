// SPDX-License-Identifier: Apache-2.0
// A decided branch in words. Pure.
#pragma once

#include <fmt/format.h>

#include <string>

#include "agent/constants/constant_set.h"
#include "agent/reachability/liveness.h"

namespace bonsai::plan {

// "enable_policy = false at from_pod.bpf.c:41 `if (enable_policy)`".
inline std::string DescribeDecision(const constants::ConstantSet& constants,
                                    const reachability::DecidedBranch& branch) {
  std::string text;
  for (const std::string& name : branch.constants) {
    std::string shown = "?";
    for (const constants::NamedValue& value : constants.values) {
      if (value.name == name) shown = value.value;
    }
    text += (text.empty() ? "" : ", ") + name + " = " + shown;
  }
  const std::string file = branch.file.substr(branch.file.rfind('/') + 1);
  if (!file.empty()) text += fmt::format(" at {}:{} `{}`", file, branch.line, branch.text);
  return text;
}

}  // namespace bonsai::plan
