// SPDX-License-Identifier: Apache-2.0
// BPF maps, programs and links as the kernel counts them: by id, with their bytes (fdinfo memlock).
// Asks /proc and bpffs; opens no object that is not pinned.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace bonsai::testing {

struct KernelObjects {
  std::map<uint32_t, uint64_t> maps, programs;  // id -> bytes
  std::set<uint32_t> links;

  uint64_t Bytes() const;
  size_t Count() const { return maps.size() + programs.size() + links.size(); }
  void Merge(const KernelObjects& other);
  // Ids alone: two states of the kernel are the same.
  bool SameAs(const KernelObjects& other) const;
  // Of these, "map 7, program 9" for all that the kernel still has and `but` lacks; "" when none.
  std::string StillThere(const KernelObjects& but = {}) const;
};

std::string ToString(const KernelObjects& objects);

// What a process holds by descriptors: of an agent, all of its generation in force.
KernelObjects HeldBy(pid_t process);
// What there is below a directory, directories too. Not fit to be iterated over in place: an agent makes
// and removes pins meanwhile.
std::vector<std::string> PinsBelow(const std::string& directory);
// `name`: only pins of that name.
KernelObjects PinnedBelow(const std::string& directory, const std::string& name = "");

}  // namespace bonsai::testing
