// SPDX-License-Identifier: Apache-2.0
// Which constants a value rests on: small sets of constants, interned as numbers. For explanations
// only; nothing is called dead because of them, so sets may be cut short.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/reachability/hash_index.h"

namespace bonsai::reachability {

using Origin = uint16_t;  // 0: no constant

class Provenance {
 public:
  static constexpr size_t kMaxMembers = 8;

  Provenance();

  Origin Of(uint32_t constant);
  Origin Union(Origin a, Origin b) {
    if (a == b || b == 0) return a;
    if (a == 0) return b;
    return UnionSlow(a, b);
  }
  // Indices of constants, ascending. Valid until the next Of() or Union().
  std::span<const uint32_t> Members(Origin origin) const { return sets_[origin].all(); }

 private:
  struct Set {
    uint32_t count = 0;
    std::array<uint32_t, kMaxMembers> members;  // the first `count`

    std::span<const uint32_t> all() const { return {members.data(), count}; }
  };
  struct CacheLine {
    Origin a = 0, b = 0, result = 0;
  };
  Origin UnionSlow(Origin a, Origin b);
  Origin Intern(const Set& set, Origin fallback);

  std::vector<Set> sets_;
  HashIndex index_;
  std::vector<CacheLine> cache_;
};

}  // namespace bonsai::reachability
