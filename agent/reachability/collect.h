// SPDX-License-Identifier: Apache-2.0
// From what the engine found to a Liveness; internal to reachability/.
#pragma once

#include "agent/reachability/engine.h"
#include "agent/reachability/liveness.h"

namespace bonsai::reachability {

// Starts `program` and lets the engine run; returns the contexts it reaches, its own first.
std::vector<uint32_t> ReachFrom(Engine& engine, const object::ObjectSpec& object, uint32_t program);

// Adds what one live program reaches to `liveness`.
void CollectProgram(Engine& engine, const object::ObjectSpec& object, uint32_t program,
                    const std::vector<uint32_t>& contexts, Liveness& liveness);

// Branches that go one way in all `contexts`, sorted by function and slot.
std::vector<DecidedBranch> DecidedBranches(Engine& engine, const object::ObjectSpec& object,
                                           const std::vector<uint32_t>& contexts);

// Fills in file, line and text from function and slot.
void Locate(const object::ObjectSpec& object, DecidedBranch& branch);

// Whether a tail call may jump to this slot of this map.
bool MayJumpTo(const TailUse& use, uint32_t map, uint32_t slot);

// Fills map_reasons and program_reasons; everything else of `liveness` is complete.
void Explain(Engine& engine, const object::ObjectSpec& object,
             const constants::ConstantSet& constants, Liveness& liveness);

}  // namespace bonsai::reachability
