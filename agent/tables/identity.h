// SPDX-License-Identifier: Apache-2.0
// Identities: the numbers that stand for peers in the policy map, and the ipcache that maps
// addresses to them.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/tables/desired_state.h"
#include "agent/tables/map_contents.h"
#include "agent/tables/stable_ids.h"

namespace bonsai::tables {

// One identity. Policies cannot tell addresses of the same identity apart.
struct Identity {
  enum class Kind { kHost, kPod, kCidr };
  uint32_t id = 0;  // IDENTITY_HOST, from IDENTITY_FIRST_POD or from IDENTITY_FIRST_CIDR
  Kind kind = Kind::kPod;

  // kPod: what selectors and named ports look at.
  std::string namespace_name;
  Labels namespace_labels, labels;
  std::map<std::string, uint16_t> named_ports;

  // kCidr: the CIDR itself. kPod: the longest CIDR of any policy that holds the pod's address, so
  // that an ipBlock that covers some of the pods with the same labels means only those.
  std::optional<Cidr> cidr;

  std::vector<Address> addresses;  // kHost: this node's addresses; kPod: those of its pods
};

struct IdentityTable {
  std::vector<Identity> identities;        // ascending id
  std::map<Address, uint32_t> by_address;  // pods' and the node's own
  MapContents ipcache4, ipcache6;          // lpm_key4/6 -> ipcache_value
  std::vector<std::string> warnings;       // one line each
};

// "host", "default app=web" or "10.0.0.0/8".
std::string ToString(const Identity& identity);

// Gives out identities; a label set keeps its number while it is in use. Not thread-safe.
class IdentityAllocator {
 public:
  IdentityAllocator();
  // ResourceExhausted when there are more label sets or CIDRs than numbers; nothing changes then.
  absl::StatusOr<IdentityTable> Update(const DesiredState& state,
                                       const std::vector<Address>& node_addresses);

 private:
  StableIds pod_ids_, cidr_ids_;
};

}  // namespace bonsai::tables
