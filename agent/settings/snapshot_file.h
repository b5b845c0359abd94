// SPDX-License-Identifier: Apache-2.0
// Bounded reads of files that others may be changing.
#pragma once

#include <absl/status/statusor.h>
#include <time.h>

#include <cstdint>
#include <string>

namespace bonsai::settings {

inline constexpr size_t kLargestFile = 1 << 20;  // what a whole ConfigMap may hold

struct FileContent {
  std::string text;
  int64_t modified_ns = 0;  // st_mtim
};

// What `name` holds inside `dir_fd` (AT_FDCWD: a path). NotFound when it is not there,
// InvalidArgument when it is not a regular file or is too large. `path` is for messages.
absl::StatusOr<FileContent> ReadFileAt(int dir_fd, const std::string& name,
                                       const std::string& path);

// Nanoseconds since 1970.
inline int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

}  // namespace bonsai::settings
