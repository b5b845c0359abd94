// SPDX-License-Identifier: Apache-2.0
#include "datapath_model.h"

#include <arpa/inet.h>

#include "agent/tables/address.h"

namespace bonsai::tables {
namespace {

// `key` cut to its first `bits` bits, as the agent has to write it.
Bytes Cut(Bytes key, uint32_t bits) {
  for (uint32_t i = 0; i < key.size() - 4; ++i) {
    const uint32_t kept = bits <= i * 8 ? 0 : bits - i * 8;
    if (kept < 8) key[4 + i] = static_cast<char>(key[4 + i] & (0xff00 >> kept));
  }
  std::memcpy(key.data(), &bits, sizeof(bits));
  return key;
}

std::optional<policy_value> Rule(const Tables& tables, const Query& query, uint32_t endpoint,
                                 uint32_t identity) {
  policy_key key = {.prefixlen = POLICY_PREFIX_FULL,
                    .endpoint_id = endpoint,
                    .identity = identity,
                    .direction = static_cast<uint8_t>(query.direction),
                    .protocol = query.protocol,
                    .port = htons(query.port)};
  if (query.port == 0) key.prefixlen = POLICY_PREFIX_PROTO;
  const auto value = LongestMatch(tables.maps.at("policy"), ToBytes(key));
  if (!value) return std::nullopt;
  return FromBytes<policy_value>(*value);
}

}  // namespace

std::optional<Bytes> LongestMatch(const MapContents& trie, const Bytes& query) {
  for (auto bits = static_cast<int64_t>(FromBytes<uint32_t>(query)); bits >= 0; --bits) {
    const auto found = trie.find(Cut(query, static_cast<uint32_t>(bits)));
    if (found != trie.end()) return found->second;
  }
  return std::nullopt;
}

uint32_t PeerIdentity(const Tables& tables, const Address& peer) {
  const auto value = LongestMatch(tables.maps.at(peer.family == 4 ? "ipcache4" : "ipcache6"),
                                  LpmKey(HostCidr(peer)));
  return value ? FromBytes<ipcache_value>(*value).identity : uint32_t{IDENTITY_WORLD};
}

Decision Decide(const Tables& tables, const Query& query) {
  const uint32_t identity = PeerIdentity(tables, query.peer);
  const bool ingress = query.direction == POLICY_INGRESS;
  if (ingress && identity == IDENTITY_HOST) return {.allowed = true};
  const auto found = tables.maps.at("endpoints").find(ToBytes(query.ifindex));
  if (found == tables.maps.at("endpoints").end()) return {.allowed = true};
  const auto endpoint = FromBytes<endpoint_value>(found->second);
  const uint32_t enforced = ingress ? ENDPOINT_ENFORCE_INGRESS : ENDPOINT_ENFORCE_EGRESS;
  if ((endpoint.flags & enforced) == 0) return {.allowed = true};

  const auto own = Rule(tables, query, endpoint.endpoint_id, identity);
  const auto any = Rule(tables, query, endpoint.endpoint_id, IDENTITY_ANY);
  for (const auto& answer : {own, any}) {
    if (answer && answer->action == POLICY_DENY) return {.rule = answer->rule};
  }
  for (const auto& answer : {own, any}) {
    if (answer) return {.allowed = true, .rule = answer->rule};
  }
  return {};
}

}  // namespace bonsai::tables
