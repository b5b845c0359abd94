// SPDX-License-Identifier: Apache-2.0
// What commands are given: files and NAME=VALUE. Errors are the user's, one line.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/settings/settings.h"

namespace bonsai::cli {

inline constexpr size_t kLargestConfig = 1 << 20;  // as of a ConfigMap

// All bytes of a file or pipe; InvalidArgument when it cannot be read or is larger than `limit`.
absl::StatusOr<std::string> ReadWhole(const std::string& path, size_t limit);

// A flat YAML file, or the directory that a ConfigMap is mounted at; nothing when there is no path.
absl::StatusOr<settings::RawSettings> ReadConfig(const std::string& path);
// Of --set KEY=VALUE; of two values the last wins.
absl::StatusOr<settings::RawSettings> ReadAssignments(const std::vector<std::string>& assignments);

// "left=right"; nullopt without a left side or without "=".
std::optional<std::pair<std::string, std::string>> Cut(const std::string& text);

// Whether it is well-formed UTF-8, which is what messages of the contract carry.
bool IsUtf8(const std::string& text);

}  // namespace bonsai::cli
