// SPDX-License-Identifier: Apache-2.0
// ManifestStore: a directory of Kubernetes manifests that stands in for the API server.
//
// A file counts as a whole. While it is broken, its last good version stays in force; when it is
// gone, so are its objects. An object belongs to one file: a file that brings an object another one
// has already is refused, and both are named.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/kube/directory.h"
#include "agent/kube/objects.h"

namespace bonsai::kube {

struct ManifestProblem {
  std::string file;    // name within the directory
  uint32_t line = 0;   // from 1; 0: the file as a whole
  std::string object;  // "Service demo/echo", "document 2" or ""
  std::string message;
  bool operator==(const ManifestProblem&) const = default;
};
std::string ToString(const ManifestProblem& problem);  // "a.yaml:12: Pod demo/a: ..."

struct ManifestFile {
  std::string name;
  bool refused = false;    // the version on disk is not in force
  bool last_good = false;  // refused, and an earlier version is in force
  uint64_t objects = 0;    // in force from this file
  uint64_t ignored = 0;    // of kinds that mean nothing here, in the version on disk
};

// Not thread-safe.
class ManifestStore {
 public:
  explicit ManifestStore(std::string directory);
  ~ManifestStore();
  ManifestStore(ManifestStore&&) noexcept;
  ManifestStore& operator=(ManifestStore&&) noexcept;

  // Reads the directory again; cheap when nothing has changed, else it may take 20 ms and more (see
  // ReadManifestFiles). Returns whether another version of any file is in force now. An error means
  // that the directory could not be read: everything stays as it was. Problems of single files are
  // no error.
  absl::StatusOr<bool> Refresh();

  // What is in force.
  const tables::DesiredState& state() const { return state_; }
  const Objects& objects() const { return objects_; }
  // Of the version on disk, by file and line.
  const std::vector<ManifestProblem>& problems() const { return problems_; }
  std::vector<ManifestFile> files() const;
  const std::string& directory() const { return directory_; }

 private:
  struct Entry;

  bool TakeOver(const Files& files);  // returns whether a file with objects in force has gone
  void ResolveDuplicates();
  bool ClaimAll();
  bool PutInForce();
  void Merge();
  void ListProblems();

  std::string directory_;
  bool read_ = false;  // the directory was read at least once
  Files last_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  Objects objects_;
  tables::DesiredState state_;
  std::vector<ManifestProblem> problems_;
};

}  // namespace bonsai::kube
