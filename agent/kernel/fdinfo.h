// SPDX-License-Identifier: Apache-2.0
// Numbers that the kernel tells of a descriptor in /proc/self/fdinfo.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

namespace bonsai::kernel {

// The value of line "<field>:\t<number>" of the descriptor's fdinfo.
absl::StatusOr<uint64_t> FdInfoNumber(int fd, const std::string& field);

}  // namespace bonsai::kernel
