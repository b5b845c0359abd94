// SPDX-License-Identifier: Apache-2.0
// The agent as a whole: owns every part, starts them in order and stops them in reverse.
#pragma once

#include <absl/status/status.h>

#include "agent/base/logging.h"
#include "agent/control/options.h"

namespace bonsai::control {

// Serves until SIGTERM or SIGINT; the datapath goes on afterwards. An error before serving (objects,
// kernel, socket) is returned; later ones are problems in status. The caller's thread waits for
// signals: call it once, from main, before any other thread exists.
absl::Status RunAgent(Options options, const base::Logger& log);

}  // namespace bonsai::control
