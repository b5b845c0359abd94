// SPDX-License-Identifier: Apache-2.0
// Arithmetic on addresses and CIDRs, and their form as trie keys. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "agent/tables/desired_state.h"
#include "agent/tables/map_contents.h"

namespace bonsai::tables {

inline uint32_t AddressBits(const Address& address) { return address.family == 4 ? 32 : 128; }

// The CIDR of `prefix` bits around `address`, host bits cleared. `prefix` <= AddressBits(address).
Cidr MakeCidr(const Address& address, uint32_t prefix);
Cidr HostCidr(const Address& address);  // /32 or /128

bool Contains(const Cidr& outer, const Address& address);
bool Contains(const Cidr& outer, const Cidr& inner);  // equal counts as contained

// The longest of `cidrs` that holds `address`.
std::optional<Cidr> MostSpecific(const std::set<Cidr>& cidrs, const Address& address);

// lpm_key4 or lpm_key6, by family.
Bytes LpmKey(const Cidr& cidr);

}  // namespace bonsai::tables
