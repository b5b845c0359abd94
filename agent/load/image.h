// SPDX-License-Identifier: Apache-2.0
// An object's file, edited before libbpf opens it. Bytes in, bytes out.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/plan/load_plan.h"

namespace bonsai::load {

using Image = std::vector<uint8_t>;

// NotFound: no such file. `name`: what errors call the object.
absl::StatusOr<Image> ReadImage(const std::string& name, const std::string& path);

// Replaces each call in `calls` (or the load of a function's address) by a call that no verifier
// lets run, and takes its relocation out, so that libbpf does not follow it to the function.
//
// SOUND: the plan may be wrong about a call being dead. Then the verifier walks into it and refuses
// the program, naming `mark` (CutCallIn); nothing runs that lacks a part.
absl::Status CutCalls(const std::string& name, const std::vector<plan::CodePlace>& calls,
                      uint32_t mark, Image& image);

// The `mark` of the cut call that a verifier walked into, when that is what its log says.
std::optional<uint32_t> CutCallIn(const std::string& verifier_log);

}  // namespace bonsai::load
