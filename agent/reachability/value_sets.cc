// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/value_sets.h"

#include <algorithm>

namespace bonsai::reachability {
namespace {
constexpr size_t kMaxValueSets = 1 << 16;
}

bool ValueSet::Contains(uint64_t number) const {
  return std::binary_search(begin(), end(), number);
}

bool ValueSet::Add(uint64_t member) {
  const auto at = std::lower_bound(members_.begin(), members_.begin() + count_, member);
  if (at != members_.begin() + count_ && *at == member) return true;
  if (count_ == kMaxMembers) return false;
  std::move_backward(at, members_.begin() + count_, members_.begin() + count_ + 1);
  *at = member;
  ++count_;
  return true;
}

bool ValueSet::operator==(const ValueSet& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

SetId ValueSets::Intern(const ValueSet& set) {
  if (set.size() < 2) return 0;
  uint64_t hash = set.size();
  for (const uint64_t member : set) hash = MixHash(hash, member);
  const uint32_t found = index_.Find(hash, [&](SetId id) { return sets_[id] == set; });
  if (found != HashIndex::kNone) return found;
  if (sets_.size() >= kMaxValueSets) return 0;
  const auto id = static_cast<SetId>(sets_.size());
  sets_.push_back(set);
  index_.Insert(hash, id);
  return id;
}

}  // namespace bonsai::reachability
