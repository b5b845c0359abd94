// SPDX-License-Identifier: Apache-2.0
// `agentctl life`: the board of feature life drawn, seeded and controlled.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "agent/cli/client.h"
#include "agent/cli/options.h"
#include "agent/cli/table.h"

namespace bonsai::cli {

// Does what options.life says. Text for stdout; "" after a live drawing. `live`: stdin and stdout are
// a terminal, for which alone there is one.
absl::StatusOr<std::string> PlayLife(const Options& options, Client& client, Style style,
                                     bool live);

// What `seed PATTERN` asks for. NotFound, InvalidArgument: no such name or file, or not a pattern.
absl::StatusOr<v1::SeedBoardRequest> SeedRequest(const LifeOptions& options);

}  // namespace bonsai::cli
