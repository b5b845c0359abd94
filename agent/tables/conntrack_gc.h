// SPDX-License-Identifier: Apache-2.0
// Sweeping the connection tables. The datapath never looks at an expired entry twice, so collecting
// is about room and about honest counts, not about correctness.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <cstdint>
#include <map>

#include "agent/kernel/bpf_map.h"
#include "agent/tables/services.h"

namespace bonsai::tables {

// ct4 and ct6; nullptr where there is none. Borrowed for the call.
struct ConntrackMaps {
  const kernel::BpfMap* ct4 = nullptr;
  const kernel::BpfMap* ct6 = nullptr;
  // The tables that entries still move from: the datapath takes from there what it misses, so that
  // what goes must go from both.
  const kernel::BpfMap* ct4_old = nullptr;
  const kernel::BpfMap* ct6_old = nullptr;
};

struct ConntrackKind {
  uint8_t family = 4;    // 4 or 6
  uint8_t protocol = 0;  // IPPROTO_*
  auto operator<=>(const ConntrackKind&) const = default;
};

struct ConntrackCounts {
  uint64_t alive = 0;    // left in the table
  uint64_t deleted = 0;  // expired and removed
};

struct GcReport {
  std::map<ConntrackKind, ConntrackCounts> kinds;  // those that were met
  ConntrackCounts total;
  std::chrono::nanoseconds duration{0};
};

// Deletes the entries that had expired at `now` (jiffies64, from kernel::JiffiesClock). An entry
// that a packet revives meanwhile stays.
absl::StatusOr<GcReport> CollectConntrack(const ConntrackMaps& maps, uint64_t now);

// The entries of a conntrack table that had not expired at `now`.
absl::StatusOr<uint64_t> CountAlive(const kernel::BpfMap& map, uint64_t now);

// Removes flows through a service whose backend is no longer one of the service's: all but
// established TCP connections, which may finish. Returns how many entries went; a flow has two.
absl::StatusOr<uint64_t> PurgeBackends(const ConntrackMaps& maps, const ServiceTable& services);

}  // namespace bonsai::tables
