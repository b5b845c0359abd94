// SPDX-License-Identifier: Apache-2.0
// One program as the kernel gets it, and what its verifier kept of it, instruction by instruction.
//
// How a kept instruction is told from a dropped one: each instruction is loaded with a line record
// of its own whose line is the instruction's number. The kernel moves these records along when it
// patches instructions and deletes those of the code it removes, so that what it hands back names
// exactly the instructions that are left. Nothing is guessed from the instructions themselves, many
// of which the kernel rewrites. oracle_test.cc holds this reading against the verifier's own log.
#pragma once

#include <absl/status/statusor.h>
#include <linux/bpf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"
#include "tests/differential/probe.h"

namespace bonsai::differential {

// kUnclear: a jump that is gone, which the kernel also does to jumps it decided and to jumps to
// the next instruction, and whose surroundings do not say whether it was reached.
enum class Fate : uint8_t { kKept, kDropped, kUnclear };

struct Image {
  std::string name, license = "GPL";
  bpf_prog_type type = BPF_PROG_TYPE_SCHED_CLS;
  bpf_attach_type attach{};
  int btf_fd = -1;
  std::vector<bpf_insn> insns;            // relocated; subprograms after the main one
  std::vector<bpf_func_info> functions;   // one a subprogram, ascending
  std::vector<Probe> probes;              // ascending by slot
};

struct Verdict {
  base::UniqueFd fd;                  // invalid: refused
  std::string log;                    // of a refusal, or all of it when it was asked for
  std::vector<Fate> fates;            // one a slot of the image
  std::vector<bool> visited;          // the same by the log, if it was asked for
  std::vector<bool> answers;          // one a probe
  std::vector<bpf_insn> translated;   // what is left, as the kernel shows it
  bool loaded() const { return fd.valid(); }
};

// Fails only on what is no verdict: info that cannot be read, an image the kernel cannot take.
// `log_visits`: the log then has a line for each instruction the verifier walked.
absl::StatusOr<Verdict> Load(const Image& image, bool log_visits = false);

// For each slot those that may run right before it; calls of subprograms are not followed.
std::vector<std::vector<size_t>> Predecessors(const std::vector<bpf_insn>& insns);

}  // namespace bonsai::differential
