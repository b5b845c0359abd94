// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/prefilter.h"

#include "agent/base/status.h"
#include "agent/tables/address.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {

absl::StatusOr<PrefilterTable> BuildPrefilter(const std::vector<std::string>& cidrs) {
  PrefilterTable table;
  for (uint32_t rule = 0; rule < cidrs.size(); ++rule) {
    const auto cidr = ParseCidr(cidrs[rule]);
    if (!cidr) {
      return base::InvalidArgument(
          "building the prefilter: entry {} \"{}\" is no CIDR; write it like 192.0.2.0/24", rule,
          cidrs[rule]);
    }
    MapContents& map = cidr->address.family == 4 ? table.prefilter4 : table.prefilter6;
    map.emplace(LpmKey(*cidr), ToBytes(prefilter_value{.rule = rule}));
  }
  return table;
}

}  // namespace bonsai::tables
