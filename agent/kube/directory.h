// SPDX-License-Identifier: Apache-2.0
// The manifest files of a directory, read as one snapshot.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <map>
#include <string>

namespace bonsai::kube {

struct FileContent {
  std::string bytes;
  absl::Status status;  // not OK: the file is there but could not be read
  bool operator==(const FileContent&) const = default;
};

// By name, without the directory.
using Files = std::map<std::string, FileContent>;

// Every *.yaml, *.yml and *.json of `path`; names that begin with '.' are skipped, symlinks
// followed, subdirectories left out. A ConfigMap mounted by a kubelet is read through its ..data
// link, so that all files are of one version. In a plain directory files may be caught
// half-written: what differs from `last` (the previous snapshot) is read until two reads, 20 ms
// apart, agree. NotFound, InvalidArgument (no directory) or Unavailable (it kept changing).
absl::StatusOr<Files> ReadManifestFiles(const std::string& path, const Files& last);

}  // namespace bonsai::kube
