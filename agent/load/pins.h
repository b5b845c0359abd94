// SPDX-License-Identifier: Apache-2.0
// The pins of maps below a pin root: <root>/maps/<name> for the generation in force, and
// <root>/next-N/<name> for one in the making. Used by one thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/kernel/bpf_map.h"

namespace bonsai::load {

// The maps pinned by the generation in force, by name. Empty when there are none.
absl::StatusOr<std::map<std::string, kernel::BpfMap>> OpenPinnedMaps(const std::string& root);

struct Layout;  // layouts.h

// Removes all map pins below `root`, and `root` itself if nothing else is left in it. Detach the
// programs first (attach::RemoveAll).
absl::Status RemovePins(const std::string& root);

// What RemovePins would remove, one line each. Changes nothing.
absl::StatusOr<std::vector<std::string>> Inventory(const std::string& root);

// The pins of a generation in the making. Its directory goes with it unless Commit was tried or it
// is to be kept.
class StagedPins {
 public:
  static absl::StatusOr<std::unique_ptr<StagedPins>> Make(const std::string& root);
  StagedPins(const StagedPins&) = delete;
  StagedPins& operator=(const StagedPins&) = delete;
  ~StagedPins();

  // Unless this very map is pinned as <root>/maps/<name> already.
  // Records its layout before.
  absl::Status Add(const kernel::BpfMap& map, const std::string& name, const Layout& layout);
  // Moves the staged pins over those in force and removes every other map pin below the root.
  absl::Status Commit();
  void Keep() { keep_ = true; }

 private:
  StagedPins(std::string root, std::string directory);
  std::string root_, directory_;
  std::set<std::string> names_;   // of this generation
  std::set<uint32_t> ids_;        // of its maps
  std::set<uint32_t> recorded_;   // of those whose layout is recorded for its sake
  std::set<std::string> staged_;  // those still to be moved
  bool keep_ = false;
};

}  // namespace bonsai::load
