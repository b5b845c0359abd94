// SPDX-License-Identifier: Apache-2.0
// Change: what another configuration would make of the node, before it is applied. Pure: a value from
// values, for any thread; it never touches the kernel or the configuration in force.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/plan/inputs.h"
#include "agent/plan/load_plan.h"
#include "agent/plan/reload_class.h"
#include "agent/settings/settings.h"

namespace bonsai::plan {

// What a map that exists takes, and how full it is.
struct MapUse {
  uint64_t bytes = 0;                // measured
  std::optional<uint64_t> entries;   // at the last count
};
using MapUses = std::map<std::string, MapUse>;  // by map name; maps that exist

// What a change starts from. Borrowed for the call; without a plan: from nothing.
struct Before {
  const settings::Settings* settings = nullptr;
  const LoadPlan* plan = nullptr;
  MapUses maps;                      // empty without an agent: sizes are then predicted
};

enum class ChangeKind : uint8_t { kAdded, kRemoved, kChanged };

struct SettingChange {
  std::string key;
  std::string before, after;         // as the operator would write them
  ReloadClass reload_class = ReloadClass::kLive;  // of this setting in this change
};

struct MapChange {
  ChangeKind kind = ChangeKind::kChanged;  // kChanged: resized
  std::string name, feature, sized_by;
  uint32_t type = 0;                 // BPF_MAP_TYPE_*
  uint32_t entries_before = 0, entries_after = 0;  // room
  uint64_t bytes_before = 0, bytes_after = 0;      // kernel memory, all CPUs
  std::string reason;                // why it is created, or why not any more
};

struct ProgramChange {
  ChangeKind kind = ChangeKind::kChanged;  // kChanged: other live code
  std::string object, name;
  std::optional<TailCall> tail;      // absent: an entry program
  uint32_t insns_before = 0, insns_after = 0;  // live slots, called functions included
  std::string reason;
};

struct Totals {
  uint32_t maps = 0;                 // created
  uint64_t map_bytes = 0;            // all CPUs
  uint32_t programs = 0, tail_calls = 0;  // loaded
  uint64_t live_insns = 0;           // slots, over objects that are needed, each function once
};

enum class RefusalReason : uint8_t {
  kSettings,  // unknown key, bad value, settings that cannot stand together
  kInUse,     // a map would become smaller than what it holds
  kKernel,    // this kernel lacks what is needed
  kPlan,      // a plan cannot be made of it
};

struct Refusal {
  RefusalReason reason = RefusalReason::kSettings;
  std::string key;      // the setting; "" when it is no single one
  std::string message;  // one line, names the key and what is allowed
  std::string nearest;  // known name nearest to an unknown key, or ""
};

struct Change {
  std::vector<Refusal> refusals;     // empty: it would be applied
  bool planned = false;              // false: refused before there was a plan; no more is known then
  std::vector<SettingChange> settings;   // by key
  std::vector<MapChange> maps;           // by name
  std::vector<ProgramChange> programs;   // by object and name
  Totals before, after;
  ReloadClass reload_class = ReloadClass::kLive;
  bool bytes_measured = false;       // the cost model uses this node's own sizes
};

// The whole configuration that `wanted` is, against what is in force. Whatever is wrong with it is in
// Change::refusals. Errors: Cancelled; Internal for a bug of ours.
absl::StatusOr<Change> PlanChange(const Inputs& inputs, const Before& before,
                                  const settings::RawSettings& wanted, const Cancelled& cancelled);

// Of a plan, with the measured bytes of maps that exist.
Totals TotalsOf(const LoadPlan& plan, const MapUses& maps);

}  // namespace bonsai::plan
