// SPDX-License-Identifier: Apache-2.0
// The rest of the way of conntrack into a table of another size (ADR 0014).
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <cstdint>

#include "agent/kernel/bpf_map.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {

struct MoveReport {
  uint64_t entries = 0;  // met in the earlier table
  uint64_t moved = 0;    // that the new one lacked
  uint64_t closed = 0;   // whose end only the earlier one knew
  std::chrono::nanoseconds duration{0};
};

// Takes over what no packet has fetched yet. Call it when programs with ct_moving run at every hook
// and no earlier one runs any more: `from` then knows nothing newer than `to`, but the end of a
// connection whose last packet still met an earlier program. An entry that `to` has is left alone.
// May be repeated.
absl::StatusOr<MoveReport> MoveConntrack(const kernel::BpfMap& from, const kernel::BpfMap& to);

// What becomes of an entry that both tables have. True: `to` was changed. Pure.
bool TakeClosing(const ct_entry& from, ct_entry& to);

}  // namespace bonsai::tables
