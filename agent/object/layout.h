// SPDX-License-Identifier: Apache-2.0
// A fingerprint of a type's layout: equal for types whose bytes mean the same.
#pragma once

#include <cstdint>

#include "agent/object/btf.h"

namespace bonsai::object {

// Over sizes, kinds, and the names and places of members, all the way down; never 0. Names of types,
// typedefs and qualifiers do not count. Same on any machine, and in any version of the agent.
uint64_t LayoutHash(const Btf& btf, uint32_t type_id);

// Of a map with such keys and values; 0 when either is not known.
uint64_t CombineLayouts(uint64_t key, uint64_t value);

}  // namespace bonsai::object
