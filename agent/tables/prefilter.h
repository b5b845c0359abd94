// SPDX-License-Identifier: Apache-2.0
// The denied CIDRs of the configuration -> contents of the prefilter maps. Pure; thread-safe.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/tables/map_contents.h"

namespace bonsai::tables {

struct PrefilterTable {
  MapContents prefilter4, prefilter6;  // lpm_key4/6 -> prefilter_value
};

// A CIDR's rule number is its place in the list; of equal ones the first counts. InvalidArgument
// names the entry that is no CIDR.
absl::StatusOr<PrefilterTable> BuildPrefilter(const std::vector<std::string>& cidrs);

}  // namespace bonsai::tables
