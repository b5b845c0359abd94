// SPDX-License-Identifier: Apache-2.0
// The names of dns-deny -> contents of the map dns_deny. Pure; thread-safe.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/tables/map_contents.h"

namespace bonsai::tables {

// Elements "dns-name" of settings, in their canonical spelling: "example.com" is that name alone,
// ".example.com" that domain and all below it, "*.example.com" only what is below it. An entry's rule
// number is its place in the list; of equal ones the first counts. A name is denied when any entry
// says so, whatever the order. At most two entries of the map for each of the list.
// InvalidArgument names the element that is none.
absl::StatusOr<MapContents> BuildDnsDeny(const std::vector<std::string>& names);

}  // namespace bonsai::tables
