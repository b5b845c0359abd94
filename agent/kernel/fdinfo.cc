// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/fdinfo.h"

#include <fstream>

#include "agent/base/status.h"

namespace bonsai::kernel {

absl::StatusOr<uint64_t> FdInfoNumber(int fd, const std::string& field) {
  std::string path = fmt::format("/proc/self/fdinfo/{}", fd);
  std::ifstream file(path);
  if (!file) return base::Internal("reading {}: no such descriptor", path);
  std::string name;
  uint64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, colon, field) != 0) continue;
    number = std::strtoull(line.c_str() + colon + 1, nullptr, 10);
    return number;
  }
  return base::FailedPrecondition("reading {}: it has no {}", path, field);
}

}  // namespace bonsai::kernel
