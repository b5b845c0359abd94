// SPDX-License-Identifier: Apache-2.0
// The kernel as the oracle: loads an object and reads back what its verifier kept.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "tests/differential/image.h"
#include "tests/differential/kept.h"

namespace bonsai::differential {

struct KeptProgram {
  bool loaded = false;
  std::string log;  // of a refusal; or of all that was walked, when asked for
  References references;
  // By index into ObjectSpec::functions, one a slot of the function: all functions that libbpf put
  // into the program, dropped ones too.
  std::map<uint32_t, std::vector<Fate>> code;
  // The same by the verifier's log, when asked for: whether it walked the slot.
  std::map<uint32_t, std::vector<bool>> visited;
};

struct LoadOptions {
  std::set<std::string> cut_maps, cut_programs;  // to leave out
  bool log_visits = false;
};

// Loads each program of `object` with these constants and every map as small as it may be, reads
// back what is left of it, and unloads all. A program that the kernel refuses is in the result, as
// not loaded; an object that libbpf refuses is an error.
absl::StatusOr<std::map<std::string, KeptProgram>> LoadAndRead(
    const object::ObjectSpec& object, const constants::ConstantSet& constants,
    const LoadOptions& options = {});

// The line of a verifier's log that says what it minded.
std::string ReasonOf(const std::string& log);

}  // namespace bonsai::differential
