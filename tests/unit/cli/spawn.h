// SPDX-License-Identifier: Apache-2.0
// The agentctl binary as a process of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace bonsai::testing {

struct Outcome {
  int code = -1;  // exit code; negative: the signal that ended it
  std::string out, err;
};

// Its output goes to the files `out` and `err` of `directory`.
pid_t SpawnAgentctl(std::vector<std::string> words, const std::string& directory);
// Waits for it to end.
Outcome CollectAgentctl(pid_t pid, const std::string& directory);

std::string ReadAll(const std::string& path);

}  // namespace bonsai::testing
