// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/ports.h"

#include <netinet/in.h>

#include <algorithm>
#include <bit>

namespace bonsai::tables {

std::string ProtocolName(uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "TCP";
    case IPPROTO_UDP:
      return "UDP";
    case IPPROTO_SCTP:
      return "SCTP";
    default:
      return std::to_string(protocol);
  }
}

std::vector<PortPrefix> SplitPortRange(uint16_t first, uint16_t last) {
  std::vector<PortPrefix> prefixes;
  uint32_t next = first;
  while (next <= last) {
    // The largest aligned block that starts here and does not reach past the end.
    const uint32_t left = last - next + 1;
    const int aligned = next == 0 ? 16 : std::countr_zero(next);
    const int size = std::min(aligned, static_cast<int>(std::bit_width(left)) - 1);
    prefixes.push_back({static_cast<uint16_t>(next), static_cast<uint8_t>(16 - size)});
    next += 1u << size;
  }
  return prefixes;
}

}  // namespace bonsai::tables
