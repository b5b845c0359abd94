// SPDX-License-Identifier: Apache-2.0
// The datapath's policy decision in C++: two look-ups in longest-prefix tries, over map contents.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/tables/table_builder.h"

namespace bonsai::tables {

// The value of the entry with the longest prefix that matches; `query` starts with its own
// prefixlen.
std::optional<Bytes> LongestMatch(const MapContents& trie, const Bytes& query);

struct Query {
  uint32_t ifindex = 0;
  policy_direction direction = POLICY_INGRESS;
  Address peer;
  uint8_t protocol = 0;
  uint16_t port = 0;  // 0: the packet has none
};

uint32_t PeerIdentity(const Tables& tables, const Address& peer);

struct Decision {
  bool allowed = false;
  uint32_t rule = 0;
};
Decision Decide(const Tables& tables, const Query& query);

}  // namespace bonsai::tables
