// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/provenance.h"

#include <algorithm>
#include <utility>

namespace bonsai::reachability {
namespace {
constexpr size_t kCacheLines = 1024;
constexpr size_t kMaxSets = 16384;
}  // namespace

Provenance::Provenance() : sets_(1), cache_(kCacheLines) {}

Origin Provenance::Of(uint32_t constant) {
  Set set{.count = 1};
  set.members[0] = constant;
  return Intern(set, 0);
}

Origin Provenance::UnionSlow(Origin a, Origin b) {
  if (a > b) std::swap(a, b);
  CacheLine& line = cache_[(a * 31u + b) % kCacheLines];
  if (line.a == a && line.b == b) return line.result;
  const auto left = sets_[a].all(), right = sets_[b].all();
  std::array<uint32_t, 2 * kMaxMembers> all;
  const auto end = std::set_union(left.begin(), left.end(), right.begin(), right.end(), all.begin());
  Set set{.count = static_cast<uint32_t>(std::min<ptrdiff_t>(end - all.begin(), kMaxMembers))};
  std::copy_n(all.begin(), set.count, set.members.begin());
  line = {a, b, Intern(set, a)};
  return line.result;
}

Origin Provenance::Intern(const Set& set, Origin fallback) {
  uint64_t hash = set.count;
  for (const uint32_t member : set.all()) hash = MixHash(hash, member);
  const uint32_t found = index_.Find(hash, [&](uint32_t origin) {
    return std::ranges::equal(sets_[origin].all(), set.all());
  });
  if (found != HashIndex::kNone) return static_cast<Origin>(found);
  if (sets_.size() >= kMaxSets) return fallback;
  const auto origin = static_cast<Origin>(sets_.size());
  sets_.push_back(set);
  index_.Insert(hash, origin);
  return origin;
}

}  // namespace bonsai::reachability
