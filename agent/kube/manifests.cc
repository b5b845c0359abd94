// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/manifests.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "agent/base/status.h"
#include "agent/kube/decode.h"

namespace bonsai::kube {

struct ManifestStore::Entry {
  FileContent content;  // on disk
  Decoded decoded;      // what the content says; its objects move to in_force when they are taken
  std::vector<ManifestProblem> conflicts;  // objects that another file has
  std::optional<Objects> in_force;
  bool current = false;  // in_force is what is on disk
  bool refused = false;  // while resolving: the version on disk is not to be used

  bool readable() const { return content.status.ok() && decoded.problems.empty(); }
  // A new version that may come into force.
  bool candidate() const { return !current && !refused; }
  const Objects* chosen() const {
    if (candidate()) return &decoded.objects;
    return in_force ? &*in_force : nullptr;
  }
};

namespace {

// An empty file is how one looks between truncation and writing, so it does not remove anything.
Decoded DecodeFile(const FileContent& content) {
  if (!content.status.ok()) return {};
  if (!content.bytes.empty()) return Decode(content.bytes);
  return {.problems = {{0, "", "the file is empty; delete it to remove its objects"}}};
}

}  // namespace

std::string ToString(const ManifestProblem& problem) {
  std::string text = problem.file;
  if (problem.line != 0) text += ":" + std::to_string(problem.line);
  if (!problem.object.empty()) text += ": " + problem.object;
  return text + ": " + problem.message;
}

ManifestStore::ManifestStore(std::string directory) : directory_(std::move(directory)) {}
ManifestStore::~ManifestStore() = default;
ManifestStore::ManifestStore(ManifestStore&&) noexcept = default;
ManifestStore& ManifestStore::operator=(ManifestStore&&) noexcept = default;

absl::StatusOr<bool> ManifestStore::Refresh() {
  ASSIGN_OR_RETURN(Files files, ReadManifestFiles(directory_, last_));
  const bool first = !std::exchange(read_, true);
  if (!first && files == last_) return false;
  const bool gone = TakeOver(files);
  last_ = std::move(files);
  ResolveDuplicates();
  const bool changed = PutInForce() || gone || first;
  if (changed) Merge();
  ListProblems();
  return changed;
}

bool ManifestStore::TakeOver(const Files& files) {
  bool gone = false;
  std::erase_if(entries_, [&](const auto& entry) {
    if (files.contains(entry.first)) return false;
    gone |= entry.second->in_force.has_value();
    return true;
  });
  for (const auto& [name, content] : files) {
    std::unique_ptr<Entry>& entry = entries_[name];
    if (entry != nullptr && entry->content == content) continue;
    if (entry == nullptr) entry = std::make_unique<Entry>();
    entry->content = content;
    entry->decoded = DecodeFile(content);
    entry->current = false;
  }
  return gone;
}

// Falling back to a last good version may bring new conflicts, but each round refuses at least one
// more file, and the last good versions among themselves have none.
void ManifestStore::ResolveDuplicates() {
  for (auto& [name, entry] : entries_) {
    entry->refused = !entry->current && !entry->readable();
    entry->conflicts.clear();
  }
  while (!ClaimAll()) {
  }
}

// Lets each file claim its objects, those in force before new versions. False: one was refused.
bool ManifestStore::ClaimAll() {
  std::map<ObjectKey, std::string> owners;
  for (const bool candidates : {false, true}) {
    for (auto& [name, entry] : entries_) {
      if (entry->candidate() != candidates || entry->chosen() == nullptr) continue;
      for (const auto& [key, object] : *entry->chosen()) {
        const auto owner = owners.find(key);
        if (owner == owners.end() || !candidates) continue;
        entry->conflicts.push_back(
            {name, entry->decoded.lines.at(key), ToString(key),
             "it is in " + owner->second + " already; remove one of the two"});
      }
      if (!entry->conflicts.empty() && candidates) {
        entry->refused = true;
        return false;
      }
      for (const auto& [key, object] : *entry->chosen()) owners.emplace(key, name);
    }
  }
  return true;
}

bool ManifestStore::PutInForce() {
  bool changed = false;
  for (auto& [name, entry] : entries_) {
    if (!entry->candidate()) continue;
    entry->in_force = std::exchange(entry->decoded.objects, {});
    entry->current = true;
    changed = true;
  }
  return changed;
}

void ManifestStore::Merge() {
  objects_.clear();
  for (const auto& [name, entry] : entries_) {
    if (entry->in_force) objects_.insert(entry->in_force->begin(), entry->in_force->end());
  }
  state_ = Assemble(objects_);
}

void ManifestStore::ListProblems() {
  problems_.clear();
  for (const auto& [name, entry] : entries_) {
    if (!entry->content.status.ok()) {
      problems_.push_back({name, 0, "", base::Message(entry->content.status)});
    }
    for (const DecodeProblem& each : entry->decoded.problems) {
      problems_.push_back({name, each.line, each.object, each.message});
    }
    problems_.insert(problems_.end(), entry->conflicts.begin(), entry->conflicts.end());
  }
  std::ranges::stable_sort(problems_, {}, [](const ManifestProblem& problem) {
    return std::tie(problem.file, problem.line);
  });
}

std::vector<ManifestFile> ManifestStore::files() const {
  std::vector<ManifestFile> files;
  for (const auto& [name, entry] : entries_) {
    files.push_back({.name = name,
                     .refused = !entry->current,
                     .last_good = !entry->current && entry->in_force.has_value(),
                     .objects = entry->in_force ? entry->in_force->size() : 0,
                     .ignored = entry->decoded.ignored});
  }
  return files;
}

}  // namespace bonsai::kube
