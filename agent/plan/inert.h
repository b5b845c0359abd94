// SPDX-License-Identifier: Apache-2.0
// Whether an entry program, with the constants in force, can do anything at all. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "agent/object/object_spec.h"
#include "agent/reachability/liveness.h"

namespace bonsai::plan {

// Programs of section "syscall" are on no hook: the agent runs them itself.
bool IsRunByAgent(const std::string& section);

// True only when the program can be left out without any packet telling the difference: no live map
// or tail call, no helper that acts, no store but to its own stack, and every way out returns the
// verdict that passes the packet on (XDP_PASS; -1 for tc: "next program"; 0 when the agent runs it).
bool IsInert(const object::ObjectSpec& object, const reachability::Liveness& liveness,
             uint32_t program);

}  // namespace bonsai::plan
