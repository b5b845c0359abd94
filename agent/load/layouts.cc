// SPDX-License-Identifier: Apache-2.0
#include "agent/load/layouts.h"

#include <cinttypes>
#include <cstdio>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpffs.h"

namespace bonsai::load {
namespace {

std::string Directory(const std::string& root) { return root + "/layouts"; }

std::optional<std::pair<uint32_t, Layout>> Parse(const std::string& name) {
  uint32_t id = 0;
  Layout layout;
  int used = 0;
  const int read = std::sscanf(name.c_str(), "%" SCNu32 "-v%" SCNu32 "-%" SCNx64 "%n", &id,
                               &layout.version, &layout.hash, &used);
  if (read != 3 || static_cast<size_t>(used) != name.size()) return std::nullopt;
  return std::make_pair(id, layout);
}

absl::Status RemoveRecords(const std::string& root, const std::function<bool(uint32_t)>& unwanted) {
  ASSIGN_OR_RETURN(auto names, kernel::ListPins(Directory(root)));
  for (const std::string& name : names) {
    const auto record = Parse(name);
    if (record && !unwanted(record->first)) continue;
    RETURN_IF_ERROR(kernel::RemovePinDir(Directory(root) + "/" + name));
  }
  return absl::OkStatus();
}

const Migration* FindMigration(const std::vector<Migration>& migrations, const std::string& map,
                               uint32_t from, uint32_t to) {
  for (const Migration& known : migrations) {
    if (known.map == map && known.from_version == from && known.to_version == to) return &known;
  }
  return nullptr;
}

}  // namespace

absl::Status RecordLayout(const std::string& root, uint32_t map_id, const Layout& layout) {
  RETURN_IF_ERROR(kernel::MakePinDir(Directory(root)));
  return kernel::MakePinDir(fmt::format("{}/{}-v{}-{:x}", Directory(root), map_id, layout.version,
                                        layout.hash));
}

absl::StatusOr<Layouts> ReadLayouts(const std::string& root) {
  Layouts layouts;
  ASSIGN_OR_RETURN(auto names, kernel::ListPins(Directory(root)));
  for (const std::string& name : names) {
    if (const auto record = Parse(name)) layouts.insert(*record);
  }
  return layouts;
}

absl::Status ForgetLayout(const std::string& root, uint32_t map_id) {
  return RemoveRecords(root, [map_id](uint32_t id) { return id == map_id; });
}

absl::Status SweepLayouts(const std::string& root, const std::set<uint32_t>& kept) {
  return RemoveRecords(root, [&kept](uint32_t id) { return !kept.contains(id); });
}

absl::Status RemoveLayouts(const std::string& root) {
  return kernel::RemovePinDir(Directory(root));
}

std::optional<std::string> Unlike(const kernel::MapInfo& map, const Layout& layout,
                                  const plan::MapPlan& planned) {
  if (layout.version != planned.layout_version) {
    return fmt::format("its layout changed from v{} to v{}", layout.version,
                       planned.layout_version);
  }
  if (map.type != planned.type || map.key_size != planned.key_size ||
      map.value_size != planned.value_size) {
    return fmt::format("its keys and values were of {} and {} bytes, or it was of another type",
                       map.key_size, map.value_size);
  }
  if (layout.hash != 0 && planned.layout_hash != 0 && layout.hash != planned.layout_hash) {
    return fmt::format("the fields of its layout v{} changed", layout.version);
  }
  return std::nullopt;
}

std::vector<std::string> SetUnlikeApart(const plan::LoadPlan& plan, const Layouts& layouts,
                                        const std::vector<Migration>& migrations,
                                        ExistingMaps& maps, Conversions& conversions) {
  std::vector<std::string> empty;
  for (auto at = maps.begin(); at != maps.end();) {
    const auto& [name, map] = *at;
    const plan::MapPlan* planned = plan.FindMap(name);
    const auto record = layouts.find(map->info().id);
    const Layout layout = record == layouts.end() ? Layout() : record->second;
    const auto why = planned == nullptr ? std::nullopt : Unlike(map->info(), layout, *planned);
    if (!why) {
      ++at;
      continue;
    }
    const Migration* known =
        FindMigration(migrations, name, layout.version, planned->layout_version);
    if (known != nullptr) {
      conversions[name] = {map, known->convert};
    } else if (planned->create) {
      empty.push_back(fmt::format("map {} starts empty: {}", name, *why));
    }
    at = maps.erase(at);
  }
  return empty;
}

std::vector<Migration> KnownMigrations() { return {}; }

}  // namespace bonsai::load
