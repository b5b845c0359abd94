// SPDX-License-Identifier: Apache-2.0
// What a change asks of the kernel. The one place that says it: the agent acts on it, agentctl
// shows it. Pure.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"

namespace bonsai::plan {

// In rising order of work.
enum class ReloadClass : uint8_t {
  kLive,     // no new program: tables are written, devices attached, the agent itself changes
  kReload,   // new programs, swapped in; the maps stay
  kMigrate,  // as kReload, and a map is made anew at another size and takes its contents along
};

const char* ToString(ReloadClass reload_class);  // "live", "reload", "migrate"

// A shared map that both plans create, at another size.
struct Resize {
  std::string map;
  std::string setting;  // that sizes it; "" when the object does
  uint32_t from = 0, to = 0;
};
// Sorted by map.
std::vector<Resize> Resizes(const LoadPlan& from, const LoadPlan& to);

// The class of the change from one plan to another, exactly: a constant that no loaded object has,
// or the size of a map that is not created, is kLive.
ReloadClass ClassOfChange(const LoadPlan& from, const LoadPlan& to);

// The most that a change of one setting can ask for, whatever the others are. `plan`: any plan of
// the same objects; the maps say which settings size them.
ReloadClass ClassOfSetting(const settings::SettingSpec& spec, const LoadPlan& plan);

// Entries by map name, as counted in the kernel. A map that is not in it is not judged.
using EntriesInUse = std::map<std::string, uint64_t>;

// Whether what the maps hold fits into their new sizes. FailedPrecondition: one line a map, with
// setting, wanted size and entries in use. An LRU map would silently lose what does not fit, and
// keeps some entries back for each CPU, so it is asked for that room as well.
absl::Status CheckFits(const LoadPlan& from, const LoadPlan& to, const EntriesInUse& in_use,
                       uint32_t possible_cpus);

// The least size at which a map of this type keeps that many entries.
uint64_t RoomFor(uint32_t map_type, uint64_t entries, uint32_t possible_cpus);

}  // namespace bonsai::plan
