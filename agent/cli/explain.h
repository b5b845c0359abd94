// SPDX-License-Identifier: Apache-2.0
// agentctl explain: of the agent that runs, or offline of object files and a configuration.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/cli/client.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::cli {

struct ExplainOptions {
  v1::ExplainRequest request;
  // Directory of *.bpf.o files: answered from them, without an agent. "": ask the agent.
  std::string objects;
  std::string config;                    // offline: a flat YAML file or a ConfigMap's directory, or ""
  std::vector<std::string> assignments;  // offline: KEY=VALUE; they win over `config`
};

// Errors as of Client::Explain().
absl::StatusOr<v1::ExplainResponse> ExplainOnline(const ExplainOptions& options, Client& client,
                                                  Client::Timeout timeout);

// InvalidArgument, one line a problem, for a configuration that cannot be; NotFound for a name or a
// directory that does not exist.
absl::StatusOr<v1::ExplainResponse> ExplainOffline(const ExplainOptions& options);

}  // namespace bonsai::cli
