// SPDX-License-Identifier: Apache-2.0
// Questions to the verifier, put into a program before it is loaded: may a register hold a value
// where an instruction stands? An answer is a branch whose body is kept or dropped.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bonsai::differential {

// Whether the low half of `reg` may be `value` right before `slot`, an instruction that overwrites
// r0 without reading it.
struct Probe {
  size_t slot = 0;
  uint8_t reg = 0;
  uint32_t value = 0;
};

struct Probed {
  std::vector<bpf_insn> insns;
  std::vector<size_t> place;    // of each slot of the original
  std::vector<size_t> answers;  // of each probe: the instruction that is kept if it may
};

// `insns` with the questions put in and everything relative adjusted. `probes`: ascending by slot.
Probed PutIn(const std::vector<bpf_insn>& insns, const std::vector<Probe>& probes);

}  // namespace bonsai::differential
