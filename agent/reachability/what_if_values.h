// SPDX-License-Identifier: Apache-2.0
// Which values of a constant are worth trying; internal to reachability/.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/reachability/liveness.h"

namespace bonsai::reachability {

class Candidates {
 public:
  // `object` must outlive it. Linear in the size of its code.
  explicit Candidates(const object::ObjectSpec& object);

  // Values other than the one in force that fit the constant, at most `limit`; none of what is no
  // number. `liveness` is of `constants`.
  std::vector<int64_t> Of(uint32_t constant, const constants::ConstantSet& constants,
                          const Liveness& liveness, uint32_t limit) const;

  // By constant: whether live code may read it.
  std::vector<bool> Read(const Liveness& liveness) const;

 private:
  // A load of known bytes of a read-only section, or any access to one.
  struct Access {
    uint32_t function = 0, slot = 0;
    uint32_t section = 0;
    int64_t begin = 0, end = 0;
    bool exact = false;
  };
  void AddAccesses(uint32_t function);
  Access AccessBy(uint32_t function, const object::Ref& ref);
  bool AddLoad(uint32_t function, uint32_t slot, const object::Ref& ref, Access& access);
  void AddDecided(uint32_t constant, const Liveness& liveness, std::vector<int64_t>& values) const;
  void FollowLoad(uint32_t function, uint32_t slot, uint32_t constant);
  std::vector<uint32_t> ConstantsIn(uint32_t section, int64_t begin, int64_t end) const;

  const object::ObjectSpec& object_;
  std::vector<std::vector<uint32_t>> by_section_;  // constants, by offset
  std::vector<Access> accesses_;
  std::vector<std::vector<int64_t>> limits_;       // by constant: what its comparisons turn on
};

// Of a constant that is an integer.
int64_t ValueOf(const object::Constant& constant, const constants::ConstantSet& constants);

}  // namespace bonsai::reachability
