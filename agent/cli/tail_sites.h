// SPDX-License-Identifier: Apache-2.0
// Tail calls as they stand in the code, without an analysis. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/object/object_spec.h"

namespace bonsai::cli {

// A call of bpf_tail_call() whose map and slot are set in the same straight line before it.
struct TailSite {
  uint32_t call = 0;  // slot of the call inside the function
  uint32_t map = 0;   // index into ObjectSpec::maps
  uint32_t slot = 0;  // of the program array
};

// Sorted by `call`. Calls whose map or slot cannot be told are left out.
std::vector<TailSite> TailSites(const object::Function& function);

}  // namespace bonsai::cli
