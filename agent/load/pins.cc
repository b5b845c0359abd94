// SPDX-License-Identifier: Apache-2.0
#include "agent/load/pins.h"

#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpffs.h"
#include "agent/load/layouts.h"

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
  RETURN_IF_ERROR(RemoveLayouts(root));
  ASSIGN_OR_RETURN(auto rest, kernel::ListPins(root));
  return rest.empty() ? kernel::RemovePinDir(root) : absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Inventory(const std::string& root) {
  std::vector<std::string> lines;
  ASSIGN_OR_RETURN(const auto maps, kernel::ListPins(MapsDir(root)));
  for (const std::string& name : maps) lines.push_back("pin " + MapsDir(root) + "/" + name);
  ASSIGN_OR_RETURN(const auto names, kernel::ListPins(root));
  for (const std::string& name : names) {
    if (name.rfind(kNext, 0) == 0) lines.push_back("unfinished generation " + root + "/" + name);
  }
  ASSIGN_OR_RETURN(const Layouts layouts, ReadLayouts(root));
  if (!layouts.empty()) lines.push_back("records of map layouts " + root + "/layouts");
  return lines;
}

StagedPins::StagedPins(std::string root, std::string directory)
    : root_(std::move(root)), directory_(std::move(directory)) {}

StagedPins::~StagedPins() {
  // After a Commit, even one that failed half-way, programs that rely on these pins are attached.
  if (keep_) return;
  kernel::RemovePinDir(directory_).IgnoreError();
  for (uint32_t id : recorded_) ForgetLayout(root_, id).IgnoreError();
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

absl::Status StagedPins::Add(const kernel::BpfMap& map, const std::string& name,
                             const Layout& layout) {
  names_.insert(name);
  ids_.insert(map.info().id);
  auto pinned = kernel::BpfMap::OpenPinned(MapsDir(root_) + "/" + name);
  if (pinned.ok() && pinned->info().id == map.info().id) return absl::OkStatus();
  if (recorded_.insert(map.info().id).second) {
    RETURN_IF_ERROR(RecordLayout(root_, map.info().id, layout));
  }
  RETURN_IF_ERROR(map.Pin(directory_ + "/" + name));
  staged_.insert(name);
  return absl::OkStatus();
}

absl::Status StagedPins::Commit() {
  keep_ = true;
  RETURN_IF_ERROR(kernel::MakePinDir(MapsDir(root_)));
  ASSIGN_OR_RETURN(auto pins, kernel::ListPins(MapsDir(root_)));
  const std::set<std::string> before(pins.begin(), pins.end());
  // New names first: an agent killed in between must leave every map that holds something pinned,
  // and a table that moves (ct4_old) is pinned nowhere else once another (ct4) has its place.
  for (const bool replaces : {false, true}) {
    for (auto name = staged_.begin(); name != staged_.end();) {
      if (before.contains(*name) != replaces) {
        ++name;
        continue;
      }
      RETURN_IF_ERROR(kernel::RenamePin(directory_ + "/" + *name, MapsDir(root_) + "/" + *name));
      name = staged_.erase(name);
    }
  }
  for (const std::string& name : pins) {
    if (!names_.contains(name)) {
      RETURN_IF_ERROR(kernel::RemovePin(MapsDir(root_) + "/" + name));
    }
  }
  RETURN_IF_ERROR(RemoveStagedDirs(root_));
  return SweepLayouts(root_, ids_);
}

}  // namespace bonsai::load
