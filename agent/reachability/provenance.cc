// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/provenance.h"

#include <algorithm>
#include <iterator>

namespace bonsai::reachability {
namespace {
constexpr size_t kCacheLines = 1024;
constexpr size_t kMaxSets = 16384;
}  // namespace

Provenance::Provenance() : sets_(1), cache_(kCacheLines) { index_.emplace(sets_[0], 0); }

Origin Provenance::Of(uint32_t constant) { return Intern({constant}, 0); }

Origin Provenance::UnionSlow(Origin a, Origin b) {
  if (a > b) std::swap(a, b);
  CacheLine& line = cache_[(a * 31u + b) % kCacheLines];
  if (line.a == a && line.b == b) return line.result;
  std::vector<uint32_t> set;
  std::set_union(sets_[a].begin(), sets_[a].end(), sets_[b].begin(), sets_[b].end(),
                 std::back_inserter(set));
  if (set.size() > kMaxMembers) set.resize(kMaxMembers);
  line = {a, b, Intern(std::move(set), a)};
  return line.result;
}

Origin Provenance::Intern(std::vector<uint32_t> set, Origin fallback) {
  const auto found = index_.find(set);
  if (found != index_.end()) return found->second;
  if (sets_.size() >= kMaxSets) return fallback;
  const auto origin = static_cast<Origin>(sets_.size());
  sets_.push_back(set);
  index_.emplace(std::move(set), origin);
  return origin;
}

}  // namespace bonsai::reachability
