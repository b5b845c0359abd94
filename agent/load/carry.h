// SPDX-License-Identifier: Apache-2.0
// The contents of a map, on their way into its successor of another size.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>

#include "agent/kernel/bpf_map.h"
#include "agent/load/loaded.h"

namespace bonsai::load {

// Maps with keys and values of their own: hashes, LRU hashes, tries and arrays, per-CPU ones too.
bool CanCarry(uint32_t map_type);
bool IsArray(uint32_t map_type);

// Copies every entry of `from` into `to`, which nobody else writes, over what is there; of an array
// the elements that both have. The values of a per-CPU map keep their CPUs. Returns how many.
// ResourceExhausted: `to` has not kept them all; that is also said where an LRU map would keep
// silent. What is written into `from` meanwhile may be copied or not.
absl::StatusOr<uint64_t> CarryEntries(const kernel::BpfMap& from, const kernel::BpfMap& to);

// The same through `convert`, from a map of another layout.
absl::StatusOr<uint64_t> ConvertEntries(const kernel::BpfMap& from, const Convert& convert,
                                        const kernel::BpfMap& to);

}  // namespace bonsai::load
