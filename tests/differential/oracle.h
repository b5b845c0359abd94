// SPDX-License-Identifier: Apache-2.0
// The kernel as the oracle: loads an object and reads back what its verifier kept.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"

namespace bonsai::differential {

struct KeptProgram {
  std::set<std::string> maps;                           // referenced by translated instructions
  std::set<std::pair<std::string, uint32_t>> tail_calls;  // with map and slot constant
  bool unknown_tail_call = false;                       // some other tail call
};

// What to leave out of a load.
struct Cut {
  std::set<std::string> maps, programs;
};

// Loads `object` with these constants and every map as small as it may be, reads back what is left
// of each program, and unloads it. Errors carry the end of the verifier's log.
absl::StatusOr<std::map<std::string, KeptProgram>> LoadAndRead(
    const object::ObjectSpec& object, const constants::ConstantSet& constants, const Cut& cut);

}  // namespace bonsai::differential
