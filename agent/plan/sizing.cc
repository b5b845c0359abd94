// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/sizing.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "agent/plan/reload_class.h"

namespace bonsai::plan {
namespace {

// A map with room for this many times its peak is neither far from nor near its size.
constexpr uint64_t kSpare = 4;

struct SizedMap {
  const MapPlan* plan = nullptr;
  MapPeak peak;
};

double Ratio(const SizedMap& map) {
  return map.plan->max_entries == 0
             ? 0
             : static_cast<double>(map.peak.entries) / map.plan->max_entries;
}

uint64_t Within(const settings::SettingSpec& spec, uint64_t value) {
  if (spec.min == 0 && spec.max == 0) return value;
  return std::clamp(value, static_cast<uint64_t>(spec.min), static_cast<uint64_t>(spec.max));
}

// What the maps would take with `size` entries each, less what they take now.
int64_t BytesWith(uint64_t size, const std::vector<SizedMap>& maps, const CostFacts& costs) {
  int64_t change = 0;
  for (const SizedMap& map : maps) {
    const MapPlan& p = *map.plan;
    const auto bytes = [&](uint64_t entries) {
      return static_cast<int64_t>(MapBytes(p.type, p.key_size, p.value_size,
                                           static_cast<uint32_t>(entries), p.map_flags, costs));
    };
    change += bytes(size) - bytes(p.max_entries);
  }
  return change;
}

// Hashes have a power of two of buckets, so that is what sizes are rounded to.
uint64_t Shrunk(const settings::SettingSpec& spec, const std::vector<SizedMap>& maps,
                uint32_t cpus) {
  uint64_t room = 1;
  for (const SizedMap& map : maps) {
    room = std::max(room, RoomFor(map.plan->type, kSpare * map.peak.entries, cpus));
  }
  return Within(spec, std::bit_ceil(room));
}

std::optional<SizingAdvice> Advise(const settings::SettingSpec& spec,
                                   const std::vector<SizedMap>& maps, const CostFacts& costs) {
  const SizedMap& fullest =
      *std::max_element(maps.begin(), maps.end(), [](const SizedMap& a, const SizedMap& b) {
        return Ratio(a) < Ratio(b);
      });
  SizingAdvice advice{.setting = spec.key, .map = fullest.plan->name,
                      .size = fullest.plan->max_entries, .peak = fullest.peak.entries};
  uint64_t bytes = 0;
  double watched = fullest.peak.watched_seconds;
  for (const SizedMap& map : maps) {
    bytes += map.peak.bytes;
    watched = std::min(watched, map.peak.watched_seconds);
  }
  if (Ratio(fullest) > kNearRatio) {
    advice.suggested = Within(spec, std::bit_ceil(advice.size + 1));
    advice.bytes = BytesWith(advice.suggested, maps, costs);
    return advice.suggested > advice.size ? std::optional(advice) : std::nullopt;
  }
  const bool far = Ratio(fullest) < kFarRatio && bytes > kWorthShrinkingBytes;
  if (!far || watched < kWatchSeconds) return std::nullopt;
  advice.suggested = Shrunk(spec, maps, costs.possible_cpus);
  advice.bytes = BytesWith(advice.suggested, maps, costs);
  // A trie takes what it holds, whatever its size.
  return advice.suggested < advice.size && advice.bytes < 0 ? std::optional(advice) : std::nullopt;
}

}  // namespace

std::vector<SizingAdvice> AdviseSizes(const settings::Schema& schema, const LoadPlan& plan,
                                      const std::map<std::string, MapPeak>& peaks,
                                      const CostFacts& costs) {
  std::map<std::string, std::vector<SizedMap>> by_setting;
  std::map<std::string, bool> uncounted;
  for (const MapPlan& map : plan.maps) {
    if (!map.create || map.sized_by.empty()) continue;
    const auto peak = peaks.find(map.name);
    if (peak == peaks.end()) {
      uncounted[map.sized_by] = true;
    } else {
      by_setting[map.sized_by].push_back({&map, peak->second});
    }
  }
  std::vector<SizingAdvice> advices;
  for (const auto& [setting, maps] : by_setting) {
    const settings::SettingSpec* spec = schema.Find(setting);
    if (spec == nullptr || uncounted.contains(setting)) continue;
    if (const auto advice = Advise(*spec, maps, costs)) advices.push_back(*advice);
  }
  return advices;
}

}  // namespace bonsai::plan
