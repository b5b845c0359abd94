// SPDX-License-Identifier: Apache-2.0
// Protocols by name, and port ranges as the prefixes of a longest-prefix trie. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bonsai::tables {

// "TCP", "UDP", "SCTP", else the number.
std::string ProtocolName(uint8_t protocol);

struct PortPrefix {
  uint16_t port = 0;  // host byte order, bits after the prefix are zero
  uint8_t bits = 16;  // 0..16
  auto operator<=>(const PortPrefix&) const = default;
};

// The fewest prefixes that cover first..last (both included, first <= last) and nothing else.
std::vector<PortPrefix> SplitPortRange(uint16_t first, uint16_t last);

}  // namespace bonsai::tables
