// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/feature_cost.h"

#include <algorithm>
#include <set>

#include "agent/base/status.h"

namespace bonsai::plan {
namespace {

using settings::RawSettings;
using settings::Schema;
using settings::Settings;

bool IsOn(const Settings& settings, const std::string& key) {
  const auto value = settings.values().find(key);
  const bool* on = value != settings.values().end() ? std::get_if<bool>(&value->second) : nullptr;
  return on != nullptr && *on;
}

// The bools that have to be as `key` is going to be, `key` first: what an "on" needs, what an "off"
// takes along.
std::vector<std::string> Together(const Schema& schema, const Settings& settings,
                                  const std::string& key, bool on) {
  std::vector<std::string> keys = {key};
  for (size_t next = 0; next < keys.size(); ++next) {
    const auto add = [&](const std::string& other) {
      const bool known = std::find(keys.begin(), keys.end(), other) != keys.end();
      if (!known && IsOn(settings, other) != on) keys.push_back(other);
    };
    if (on) {
      for (const std::string& needed : schema.Find(keys[next])->requires_keys) {
        if (schema.Find(needed) != nullptr) add(needed);
      }
      continue;
    }
    for (const auto& [other, spec] : schema.specs()) {
      const auto& needs = spec.requires_keys;
      if (std::find(needs.begin(), needs.end(), keys[next]) != needs.end()) add(other);
    }
  }
  return keys;
}

// Of the plan that has the feature less the one that has not.
void Subtract(const Totals& with, const Totals& without, FeatureCost& cost) {
  cost.map_bytes = static_cast<int64_t>(with.map_bytes) - static_cast<int64_t>(without.map_bytes);
  cost.maps = static_cast<int32_t>(with.maps) - static_cast<int32_t>(without.maps);
  cost.programs = static_cast<int32_t>(with.programs + with.tail_calls) -
                  static_cast<int32_t>(without.programs + without.tail_calls);
  cost.instructions =
      static_cast<int64_t>(with.live_insns) - static_cast<int64_t>(without.live_insns);
}

}  // namespace

bool IsToggle(const settings::SettingSpec& spec) {
  return spec.kind == settings::Kind::kBool && spec.key.rfind("enable-", 0) == 0;
}

absl::StatusOr<std::vector<FeatureCost>> FeatureCosts(const Inputs& inputs,
                                                      const Settings& settings,
                                                      const LoadPlan& plan, const MapUses& maps,
                                                      const Cancelled& cancelled) {
  std::vector<FeatureCost> costs;
  for (const auto& [key, spec] : inputs.schema->specs()) {
    if (!IsToggle(spec)) continue;
    FeatureCost cost{.feature = spec.feature, .setting = key, .on = IsOn(settings, key)};
    RawSettings raw = settings.given();
    cost.with = Together(*inputs.schema, settings, key, !cost.on);
    for (const std::string& other : cost.with) raw[other] = cost.on ? "false" : "true";
    cost.with.erase(cost.with.begin());
    ASSIGN_OR_RETURN(const Settings toggled, settings::Parse(*inputs.schema, raw));
    ASSIGN_OR_RETURN(const LoadPlan other, MakeFor(inputs, toggled, Reasons::kNone, cancelled));
    const Totals now = TotalsOf(plan, maps), then = TotalsOf(other, maps);
    Subtract(cost.on ? now : then, cost.on ? then : now, cost);
    costs.push_back(std::move(cost));
  }
  return costs;
}

}  // namespace bonsai::plan
