// SPDX-License-Identifier: Apache-2.0
// Global functions that only dead code calls: what to cut so that no program carries them. Pure.
#pragma once

#include <vector>

#include "agent/plan/load_plan.h"

namespace bonsai::plan {

// Kernels before 6.8 verify every global function a program carries, called or not. libbpf gives a
// program what its instructions call, dead ones too, so the dead calls are what is cut (ADR 0010).
//
// SOUND: a call is cut only if its own instruction is dead in every program.
std::vector<NeutralisedFunction> Neutralise(const AnalyzedObject& object);

}  // namespace bonsai::plan
