// SPDX-License-Identifier: Apache-2.0
#include "agent/load/pins.h"

#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpffs.h"

namespace bonsai::load {
namespace {

constexpr char kNext[] = "next-";
constexpr int kMaxStaged = 1000;

std::string MapsDir(const std::string& root) { return root + "/maps"; }

absl::Status RemoveStagedDirs(const std::string& root) {
  ASSIGN_OR_RETURN(auto names, kernel::ListPins(root));
  for (const std::string& name : names) {
    if (name.rfind(kNext, 0) == 0) RETURN_IF_ERROR(kernel::RemovePinDir(root + "/" + name));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::map<std::string, kernel::BpfMap>> OpenPinnedMaps(const std::string& root) {
  std::map<std::string, kernel::BpfMap> maps;
  ASSIGN_OR_RETURN(auto names, kernel::ListPins(MapsDir(root)));
  for (const std::string& name : names) {
    auto map = kernel::BpfMap::OpenPinned(MapsDir(root) + "/" + name);
    if (map.ok()) {
      maps.emplace(name, *std::move(map));
      continue;
    }
    // What is no map, or just went, cannot be shared; Commit clears it away. A map that cannot be
    // opened now must not be taken for one that is not there: its contents would be lost.
    const bool useless = absl::IsNotFound(map.status()) || absl::IsFailedPrecondition(map.status());
    if (!useless) return base::At(map.status(), "adopt map", name);
  }
  return maps;
}

absl::Status RemovePins(const std::string& root) {
  RETURN_IF_ERROR(kernel::RemovePinDir(MapsDir(root)));
  RETURN_IF_ERROR(RemoveStagedDirs(root));
  ASSIGN_OR_RETURN(auto rest, kernel::ListPins(root));
  return rest.empty() ? kernel::RemovePinDir(root) : absl::OkStatus();
}

StagedPins::StagedPins(std::string root, std::string directory)
    : root_(std::move(root)), directory_(std::move(directory)) {}

StagedPins::~StagedPins() {
  // After a Commit, even one that failed half-way, programs that rely on these pins are attached.
  if (!keep_) kernel::RemovePinDir(directory_).IgnoreError();
}

absl::StatusOr<std::unique_ptr<StagedPins>> StagedPins::Make(const std::string& root) {
  RETURN_IF_ERROR(kernel::MakePinDir(MapsDir(root)));
  // Numbers in use belong to generations that a killed agent may have attached: left alone until
  // the next Commit, when nothing is attached to them any more.
  for (int number = 0; number < kMaxStaged; ++number) {
    std::string directory = fmt::format("{}/{}{}", root, kNext, number);
    absl::Status made = kernel::MakeNewPinDir(directory);
    if (made.ok()) return std::unique_ptr<StagedPins>(new StagedPins(root, std::move(directory)));
    if (!absl::IsAlreadyExists(made)) return made;
  }
  return base::FailedPrecondition("making a generation's pins: {} holds {} unfinished ones", root,
                                  kMaxStaged);
}

absl::Status StagedPins::Add(const kernel::BpfMap& map, const std::string& name) {
  names_.insert(name);
  auto pinned = kernel::BpfMap::OpenPinned(MapsDir(root_) + "/" + name);
  if (pinned.ok() && pinned->info().id == map.info().id) return absl::OkStatus();
  RETURN_IF_ERROR(map.Pin(directory_ + "/" + name));
  staged_.insert(name);
  return absl::OkStatus();
}

absl::Status StagedPins::Commit() {
  keep_ = true;
  RETURN_IF_ERROR(kernel::MakePinDir(MapsDir(root_)));
  while (!staged_.empty()) {
    const std::string& name = *staged_.begin();
    RETURN_IF_ERROR(kernel::RenamePin(directory_ + "/" + name, MapsDir(root_) + "/" + name));
    staged_.erase(staged_.begin());
  }
  ASSIGN_OR_RETURN(auto pins, kernel::ListPins(MapsDir(root_)));
  for (const std::string& name : pins) {
    if (!names_.contains(name)) {
      RETURN_IF_ERROR(kernel::RemovePin(MapsDir(root_) + "/" + name));
    }
  }
  return RemoveStagedDirs(root_);
}

}  // namespace bonsai::load
