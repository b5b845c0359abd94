// SPDX-License-Identifier: Apache-2.0
// The code that a program brings into the kernel: its own function and all that it calls. Functions
// that several programs call are in each of them, as the kernel has them. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/object/object_spec.h"
#include "agent/reachability/liveness.h"

namespace bonsai::plan {

// Indices into ObjectSpec::functions: its own first, then all that its code can call, dead or alive,
// ascending.
std::vector<uint32_t> FunctionsOf(const object::ObjectSpec& object,
                                  const reachability::Liveness& liveness, uint32_t program);

// Instruction slots of those functions.
uint32_t SlotsOf(const object::ObjectSpec& object, const std::vector<uint32_t>& functions);

// Of them, those that this program can run.
uint32_t LiveSlotsOf(const reachability::ProgramLiveness& program);

}  // namespace bonsai::plan
