// SPDX-License-Identifier: Apache-2.0
// What the bytes of pinned maps mean: recorded when a map is made, compared when a later agent,
// perhaps of another version, would share it. A record is a directory <root>/layouts/<map id>-v<n>-
// <hash>, made before the map is pinned. By id, so that a record is true whatever becomes of pins.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/load/loaded.h"
#include "agent/plan/load_plan.h"

namespace bonsai::load {

struct Layout {
  uint32_t version = 1;  // tag layout:N of the map; 1: none, or an agent that kept no records
  uint64_t hash = 0;     // of the types of key and value; 0: not known
  bool operator==(const Layout&) const = default;
};
using Layouts = std::map<uint32_t, Layout>;  // by map id

absl::Status RecordLayout(const std::string& root, uint32_t map_id, const Layout& layout);
absl::StatusOr<Layouts> ReadLayouts(const std::string& root);
absl::Status ForgetLayout(const std::string& root, uint32_t map_id);
// Removes the records of all other maps.
absl::Status SweepLayouts(const std::string& root, const std::set<uint32_t>& kept);
absl::Status RemoveLayouts(const std::string& root);

// Why entries of `map` cannot be read as the plan's: "its layout changed from v1 to v2". Nothing:
// they can, whatever the number of entries.
std::optional<std::string> Unlike(const kernel::MapInfo& map, const Layout& layout,
                                  const plan::MapPlan& planned);

// Takes the maps out of `maps` that mean something else than the plan's of that name, so that they
// are never misread. Those for which `migrations` has a way go into `conversions`. Returns a line
// for each of the rest, which the plan needs but finds empty.
std::vector<std::string> SetUnlikeApart(const plan::LoadPlan& plan, const Layouts& layouts,
                                        const std::vector<Migration>& migrations,
                                        ExistingMaps& maps, Conversions& conversions);

// The changes of layout that this version knows a way through. None so far.
std::vector<Migration> KnownMigrations();

}  // namespace bonsai::load
