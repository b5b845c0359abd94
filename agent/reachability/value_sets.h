// SPDX-License-Identifier: Apache-2.0
// Sets of a few numbers, interned. They keep apart what known bits and ranges blur: the verifier
// walks each path by itself, so it knows that a value is 1 or 18, and never 3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "agent/reachability/hash_index.h"

namespace bonsai::reachability {

using SetId = uint32_t;  // 0: no set

class ValueSet {
 public:
  static constexpr size_t kMaxMembers = 16;

  // False when it is full.
  bool Add(uint64_t member);
  bool Contains(uint64_t number) const;
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  // Ascending.
  const uint64_t* begin() const { return members_.data(); }
  const uint64_t* end() const { return members_.data() + count_; }
  bool operator==(const ValueSet& other) const;

 private:
  uint32_t count_ = 0;
  std::array<uint64_t, kMaxMembers> members_;  // the first count_
};

class ValueSets {
 public:
  ValueSets() : sets_(1) {}

  // 0 for fewer than two members, or when there are too many sets already.
  SetId Intern(const ValueSet& set);
  const ValueSet& Of(SetId id) const { return sets_[id]; }

 private:
  std::vector<ValueSet> sets_;
  HashIndex index_;
};

}  // namespace bonsai::reachability
