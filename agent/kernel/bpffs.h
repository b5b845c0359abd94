// SPDX-License-Identifier: Apache-2.0
// The BPF file system: where pins live. Names in it must not contain a '.'.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/base/unique_fd.h"

namespace bonsai::kernel {

// Mounts a BPF file system at `mount_point` unless one is there.
absl::Status EnsureBpffs(const std::string& mount_point = "/sys/fs/bpf");

// Makes `path` and its parents below the BPF file system. FailedPrecondition when `path` would not
// be on one.
absl::Status MakePinDir(const std::string& path);
// As MakePinDir for the last component, but AlreadyExists when it is there.
absl::Status MakeNewPinDir(const std::string& path);
// Makes `path` and takes it for the calling process as long as the descriptor lives: whoever changes
// what is pinned below it holds this. FailedPrecondition: another process has it, and is named.
absl::StatusOr<base::UniqueFd> LockPinDir(const std::string& path);
// The same of a directory that is there. NotFound: there is none; FailedPrecondition also when it is
// not on a BPF file system.
absl::StatusOr<base::UniqueFd> LockExistingPinDir(const std::string& path);
// Names in a directory, sorted; empty when there is no such directory.
absl::StatusOr<std::vector<std::string>> ListPins(const std::string& path);
// Whether `path` exists and is a directory.
bool IsPinDir(const std::string& path);
// Moves a pin over another one, atomically.
absl::Status RenamePin(const std::string& from, const std::string& to);
// Absent is fine.
absl::Status RemovePin(const std::string& path);
// With all it holds. Absent is fine.
absl::Status RemovePinDir(const std::string& path);

}  // namespace bonsai::kernel
