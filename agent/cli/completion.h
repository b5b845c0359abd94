// SPDX-License-Identifier: Apache-2.0
// Completion scripts. Pure.
#pragma once

#include <string>
#include <vector>

namespace bonsai::cli {

struct CompletionCommand {
  std::string name;
  std::vector<std::string> options;
};

// A script for bash to read; `common`: options that go with every command.
std::string BashCompletion(const std::vector<std::string>& common,
                           const std::vector<CompletionCommand>& commands);

}  // namespace bonsai::cli
