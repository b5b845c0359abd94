// SPDX-License-Identifier: Apache-2.0
// What `agentctl plan` is asked.
#pragma once

#include <string>
#include <vector>

namespace bonsai::cli {

struct PlanOptions {
  std::vector<std::string> assignments;  // KEY=VALUE; they win over `config`
  std::string config;                    // file or directory of a whole configuration, or ""
  std::string objects;                   // directory of *.bpf.o: plan without an agent; or ""
  std::string current;                   // as `config`: what an offline plan is held against
};

}  // namespace bonsai::cli
