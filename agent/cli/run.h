// SPDX-License-Identifier: Apache-2.0
// agentctl: the command line from arguments to exit code. Data goes to stdout, messages to stderr.
#pragma once

namespace bonsai::cli {

enum ExitCode {
  kExitOk = 0,
  kExitUnreachable = 1,  // no agent, or it is unhealthy, or it refused
  kExitUsage = 2,        // arguments or files that cannot be
  kExitDegraded = 3,     // the agent is degraded or still starting
};

int Run(int argc, const char* const* argv);

}  // namespace bonsai::cli
