// SPDX-License-Identifier: Apache-2.0
// Writing tables into the kernel's maps: read what is there, write the difference.
//
// Maps go in groups that make sense only together: prefilter; the ports of each layer 7 protocol; denied
// names; policy with ipcache and endpoints; the services of each family. A group that does not fit into its maps is refused before anything
// of it is written; the other groups are written all the same. Within a group new entries come
// before what points to them and old ones go after, so that no packet meets half a change.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/kernel/bpf_map.h"
#include "agent/tables/table_builder.h"

namespace bonsai::tables {

struct TargetMap {
  const kernel::BpfMap* map = nullptr;  // borrowed for the call
  std::string sized_by;                 // the setting that sizes it, for errors
};

// The maps of the running generation, by name. What a feature that is off lacks is left out.
using TargetMaps = std::map<std::string, TargetMap>;

struct MapReport {
  std::string name;
  uint64_t entries = 0;  // afterwards; where writing failed: before it
  uint64_t max_entries = 0;
  uint64_t added = 0, changed = 0, deleted = 0;
};

struct WriteReport {
  std::vector<MapReport> maps;       // those that exist, by name; but for arrays, which are always full
  bool policy_changed = false;       // policy_epoch was raised
  std::vector<absl::Status> errors;  // one for each group that failed; empty: all is in force
                                     // ResourceExhausted: does not fit, and nothing was written
};

// One writer at a time. Safe to repeat after an error: it starts from what the maps then hold.
WriteReport WriteTables(const Tables& tables, const TargetMaps& maps);

// Makes every established flow go through policy again. WriteTables does it for changes of tables;
// call it after constants that change verdicts (policy-default-deny). `only_if_new`: only when the
// map was just made. Returns whether it was raised; false without a map policy_epoch.
absl::StatusOr<bool> RaisePolicyEpoch(const TargetMaps& maps, bool only_if_new = false);

// Everything a map holds.
absl::StatusOr<MapContents> ReadContents(const kernel::BpfMap& map);

}  // namespace bonsai::tables
