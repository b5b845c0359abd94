// SPDX-License-Identifier: Apache-2.0
// The ports that a layer 7 protocol is looked for on -> contents of dns_ports, http_ports. Pure;
// thread-safe.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/tables/map_contents.h"

namespace bonsai::tables {

// Elements "port" of settings: "80", "8000-8100" with both ends. One entry: 0 -> l7_ports.
// InvalidArgument names the element that is none.
absl::StatusOr<MapContents> BuildL7Ports(const std::vector<std::string>& ports);

}  // namespace bonsai::tables
