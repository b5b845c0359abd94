// SPDX-License-Identifier: Apache-2.0
// Liveness: what the constants of one object let its programs reach. Pure.
//
// SOUND: whatever is called dead here can never run or be touched, for any packet and any content
// of a mutable map. Unknown means alive.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"

namespace bonsai::reachability {

// A place where constants decide: a conditional branch that can go only one way, or a tail call
// whose slot they choose. Indices as in ObjectSpec.
struct Decision {
  uint32_t function = 0;
  uint32_t slot = 0;
  bool taken = false;               // of a branch
  std::vector<uint32_t> constants;  // what the decision rests on; may be empty
};

// The same of a branch, in words.
struct DecidedBranch {
  uint32_t function = 0;      // index into ObjectSpec::functions
  uint32_t slot = 0;
  bool taken = false;
  std::vector<std::string> constants;  // names the decision rests on; may be empty
  std::string file;           // source, "" when unknown
  uint32_t line = 0;
  std::string text;
};

struct FunctionLiveness {
  bool live = false;
  std::vector<bool> live_slots;  // one per slot of the function; both slots of a 16-byte insn agree
};

// Slots of one function as inclusive ranges, ascending, with gaps between them.
using SlotRanges = std::vector<std::pair<uint32_t, uint32_t>>;

struct ProgramLiveness {
  bool live = false;
  std::set<uint32_t> maps;       // referenced by its live instructions, its live functions included
  std::set<uint32_t> functions;  // reachable by calls and callbacks, its own function included
  // By function: what this program can run of it (other programs may run more). Same keys as
  // `functions`.
  std::map<uint32_t, SlotRanges> code;
  std::vector<object::TailSlot> tail_calls;  // slots it may jump to
  bool tail_calls_unknown_slot = false;      // some tail call's slot is not known
};

struct Liveness {
  std::vector<ProgramLiveness> programs;    // parallel to ObjectSpec::programs
  std::vector<FunctionLiveness> functions;  // parallel to ObjectSpec::functions
  std::vector<bool> maps;                   // parallel to ObjectSpec::maps: some live program uses it
  std::vector<bool> data_sections;          // parallel to ObjectSpec::data_sections
  std::vector<Decision> decisions;   // branches, by function and slot
  std::vector<Decision> tail_calls;  // live ones, by function and slot
  uint32_t live_insns = 0;   // slots, over live programs' functions (each function once)
  uint32_t total_insns = 0;  // slots of all functions

  // What Explain() adds; empty before.
  std::vector<DecidedBranch> branches;  // parallel to decisions
  // For each dead map / program / function: one line "why", e.g.
  // "enable_policy = false at from_pod.bpf.c:41 `if (enable_policy)`"; "" when nothing ever refers to it.
  std::vector<std::string> map_reasons;      // parallel to maps
  std::vector<std::string> program_reasons;  // parallel to programs
  std::vector<std::string> function_reasons;  // parallel to functions
};

// `entries`: programs that start alive; empty: all without a tail slot.
// Fails only on malformed objects (InvalidArgument); never on unknown instructions.
// `worker`: for large objects, which are analysed by two threads (ADR 0017); null: one for this time.
absl::StatusOr<Liveness> Analyze(const object::ObjectSpec& object,
                                 const constants::ConstantSet& constants,
                                 const std::vector<std::string>& entries = {},
                                 base::Worker* worker = nullptr);

// Says why: fills in branches and the reasons of what Analyze() found for the same object and
// constants. explain.h says more.
void Explain(const object::ObjectSpec& object, const constants::ConstantSet& constants,
             Liveness& liveness);

}  // namespace bonsai::reachability
