// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/value_sets.h"

#include <algorithm>

namespace bonsai::reachability {
namespace {
constexpr size_t kMaxSets = 1 << 16;
}

bool ValueSet::Contains(uint64_t number) const { return std::find(begin(), end(), number) != end(); }

bool ValueSet::Add(uint64_t member) {
  if (Contains(member)) return true;
  if (count == kMaxMembers) return false;
  const auto last = members.begin() + count++;
  *last = member;
  std::sort(members.begin(), last + 1);
  return true;
}

SetId ValueSets::Intern(const ValueSet& set) {
  if (set.count < 2) return 0;
  const auto found = index_.find(set);
  if (found != index_.end()) return found->second;
  if (sets_.size() >= kMaxSets) return 0;
  const auto id = static_cast<SetId>(sets_.size());
  sets_.push_back(set);
  index_.emplace(set, id);
  return id;
}

}  // namespace bonsai::reachability
