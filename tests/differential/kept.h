// SPDX-License-Identifier: Apache-2.0
// What the kernel kept of a program's references to maps and of its tail calls.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/differential/image.h"

namespace bonsai::differential {

struct References {
  std::set<std::string> maps;
  // Slots that a tail call may jump to, of arrays as small as kMostSlots.
  std::set<std::pair<std::string, uint32_t>> tail_calls;
  bool unknown_tail_call = false;  // of a larger array, or of one that is not the only one
};

inline constexpr uint32_t kMostSlots = 64;

// What to ask of a program's tail calls.
struct TailQuestions {
  std::vector<Probe> probes;
  std::vector<uint32_t> maps;     // ids, parallel to probes
  std::vector<size_t> unknown;    // slots of tail calls that cannot be asked about
};
// `insns` refer to maps by fds of this process.
TailQuestions AskOfTailCalls(const std::vector<bpf_insn>& insns);

// `map_names`: by map id.
References ReferencesOf(const Verdict& verdict, const TailQuestions& questions,
                        const std::map<uint32_t, std::string>& map_names);

}  // namespace bonsai::differential
