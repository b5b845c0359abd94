// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/stable_ids.h"

#include <unordered_set>
#include <utility>

#include "agent/base/status.h"

namespace bonsai::tables {
namespace {

// FNV-1a: the same on every machine and in every build, unlike std::hash.
uint64_t Hash(const std::string& text) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ull;
  return hash ^ (hash >> 32);
}

}  // namespace

StableIds::StableIds(std::string what, uint32_t first, uint32_t last)
    : what_(std::move(what)), first_(first), last_(last) {}

absl::Status StableIds::Assign(const std::set<std::string>& names) {
  const uint64_t range = uint64_t{last_} - first_ + 1;
  if (names.size() > range) {
    return base::MakeStatus(absl::StatusCode::kResourceExhausted,
                            "allocating {}: {} wanted, {} exist", what_, names.size(), range);
  }
  std::map<std::string, uint32_t> next;
  std::unordered_set<uint32_t> used;
  for (const auto& [name, id] : ids_) {
    if (!names.contains(name)) continue;
    next.emplace(name, id);
    used.insert(id);
  }
  for (const std::string& name : names) {
    if (next.contains(name)) continue;
    uint64_t offset = Hash(name) % range;
    while (used.contains(static_cast<uint32_t>(first_ + offset))) offset = (offset + 1) % range;
    const auto id = static_cast<uint32_t>(first_ + offset);
    next.emplace(name, id);
    used.insert(id);
  }
  ids_ = std::move(next);
  return absl::OkStatus();
}

}  // namespace bonsai::tables
