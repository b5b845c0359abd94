// SPDX-License-Identifier: Apache-2.0
// Explanations to the messages of bonsai.v1. Pure.
#pragma once

#include <absl/status/statusor.h>

#include "agent/plan/explain.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::report {

// InvalidArgument for a kind that is none.
absl::StatusOr<plan::Subject> ToSubject(v1::ExplainKind kind);

// What the plan says: state is LOADED where the plan would load. Inputs and settings: those that
// were asked about. `jit_bytes`: machine code of one instruction slot.
v1::ExplainResponse ToExplain(const plan::Answer& answer, const plan::Inputs& inputs,
                              const settings::Settings& settings,
                              double jit_bytes = plan::kJitBytesPerInstruction);

// The answer to a request, names and all. `cancelled` as plan::Explain() takes it.
absl::StatusOr<v1::ExplainResponse> Explain(const v1::ExplainRequest& request,
                                            const plan::Inputs& inputs,
                                            const settings::Settings& settings,
                                            const plan::Cancelled& cancelled,
                                            double jit_bytes = plan::kJitBytesPerInstruction);

}  // namespace bonsai::report
