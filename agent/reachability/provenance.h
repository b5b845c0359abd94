// SPDX-License-Identifier: Apache-2.0
// Which constants a value rests on: small sets of constants, interned as numbers. For explanations
// only; nothing is called dead because of them, so sets may be cut short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

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
  // Indices of constants, ascending.
  const std::vector<uint32_t>& Members(Origin origin) const { return sets_[origin]; }

 private:
  Origin UnionSlow(Origin a, Origin b);
  Origin Intern(std::vector<uint32_t> set, Origin fallback);

  struct CacheLine {
    Origin a = 0, b = 0, result = 0;
  };
  std::vector<std::vector<uint32_t>> sets_;
  std::map<std::vector<uint32_t>, Origin> index_;
  std::vector<CacheLine> cache_;
};

}  // namespace bonsai::reachability
