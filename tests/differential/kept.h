// SPDX-License-Identifier: Apache-2.0
// What translated instructions refer to.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bonsai::differential {

struct References {
  std::set<std::string> maps;
  std::set<std::pair<std::string, uint32_t>> tail_calls;  // with map and slot constant
  bool unknown_tail_call = false;                         // some other tail call
};

References ReferencesOf(const std::vector<bpf_insn>& translated,
                        const std::map<uint32_t, std::string>& map_names_by_id);

}  // namespace bonsai::differential
