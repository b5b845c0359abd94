// SPDX-License-Identifier: Apache-2.0
// `agentctl plan`: by asking the agent, or offline from object files. Errors that the user made are
// InvalidArgument; a change that would be refused is no error.
#pragma once

#include <absl/status/statusor.h>

#include "agent/cli/client.h"
#include "agent/cli/plan_options.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::cli {

absl::StatusOr<v1::PlanChangeResponse> PlanOnline(const PlanOptions& options, Client& client,
                                                  Client::Timeout timeout);

// Needs no agent and no privilege; with the right to use BPF it measures the kernel's own sizes.
absl::StatusOr<v1::PlanChangeResponse> PlanOffline(const PlanOptions& options);

}  // namespace bonsai::cli
