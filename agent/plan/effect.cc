// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/effect.h"

#include <algorithm>

#include "agent/base/status.h"

namespace bonsai::plan {
namespace {

using settings::RawSettings;
using settings::SettingSpec;

constexpr uint32_t kNumbersTried = 6;  // of one constant of one object

std::set<std::string> Minus(const std::set<std::string>& a, const std::set<std::string>& b) {
  std::set<std::string> rest;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(rest, rest.end()));
  return rest;
}

Things Minus(const Things& a, const Things& b) {
  return {.maps = Minus(a.maps, b.maps),
          .programs = Minus(a.programs, b.programs),
          .functions = Minus(a.functions, b.functions)};
}

int64_t MapBytesOf(const LoadPlan& plan) {
  int64_t bytes = 0;
  for (const MapPlan& map : plan.maps) bytes += map.create ? static_cast<int64_t>(map.bytes) : 0;
  return bytes;
}

int64_t InstructionsOf(const LoadPlan& plan) {
  int64_t slots = 0;
  for (const ObjectPlan& object : plan.objects) slots += object.live_insns;
  return slots;
}

bool Sizes(const SettingSpec& spec, const LoadPlan& plan) {
  return std::any_of(plan.maps.begin(), plan.maps.end(),
                     [&](const MapPlan& map) { return map.sized_by == spec.key; });
}

void Add(const std::string& value, const std::string& now, std::vector<std::string>& values) {
  const bool known = std::find(values.begin(), values.end(), value) != values.end();
  if (!known && value != now) values.push_back(value);
}

}  // namespace

absl::StatusOr<Trials> Trials::Make(const Inputs& inputs, const settings::Settings& settings,
                                    Cancelled cancelled) {
  Trials trials(inputs, std::move(cancelled));
  ASSIGN_OR_RETURN(World base, MakeWorld(inputs, settings, Reasons::kExplained, nullptr,
                                         trials.cancelled_));
  trials.base_ = std::make_unique<const World>(std::move(base));
  trials.present_ = ThingsIn(*trials.base_);
  for (const AnalyzedObject& object : trials.base_->objects) {
    trials.candidates_.emplace_back(*object.spec);
    trials.read_.push_back(trials.candidates_.back().Read(object.liveness));
  }
  return trials;
}

std::vector<std::string> Trials::ValuesOf(const SettingSpec& spec) const {
  if (spec.target == settings::Target::kConstant) {
    if (spec.kind != settings::Kind::kBool) return Numbers(spec);
    return {base_->settings.Bool(spec.key) ? "false" : "true"};
  }
  return plan::Sizes(spec, base_->plan) ? Sizes(spec) : std::vector<std::string>();
}

// A change of a number that no live code reads changes nothing by itself.
std::vector<std::string> Trials::Numbers(const SettingSpec& spec) const {
  std::vector<std::string> values;
  const std::string now = settings::Format(base_->settings.values().at(spec.key));
  const bool bounded = spec.min != 0 || spec.max != 0;
  for (size_t i = 0; i < base_->objects.size(); ++i) {
    const AnalyzedObject& object = base_->objects[i];
    for (uint32_t c = 0; c < object.spec->constants.size(); ++c) {
      if (object.spec->constants[c].name != spec.constant || !read_[i][c]) continue;
      for (const int64_t value :
           candidates_[i].Of(c, object.constants, object.liveness, kNumbersTried)) {
        if (!bounded || (value >= spec.min && value <= spec.max)) {
          Add(std::to_string(value), now, values);
        }
      }
    }
  }
  return values;
}

// The bounds, the default, and twice and half of what it is.
std::vector<std::string> Trials::Sizes(const SettingSpec& spec) const {
  const settings::Value& value = base_->settings.values().at(spec.key);
  const auto* number = std::get_if<uint64_t>(&value);
  if (number == nullptr) return {};
  std::vector<std::string> values;
  for (const uint64_t size : {static_cast<uint64_t>(spec.min), *number / 2,
                              std::get<uint64_t>(spec.default_value), *number * 2,
                              static_cast<uint64_t>(spec.max)}) {
    const bool fits = size >= static_cast<uint64_t>(spec.min) &&
                      size <= static_cast<uint64_t>(spec.max);
    if (fits) Add(std::to_string(size), settings::Format(value), values);
  }
  return values;
}

RawSettings Trials::Closed(const RawSettings& changes) const {
  RawSettings closed = changes;
  std::vector<std::string> left;
  for (const auto& [key, value] : changes) left.push_back(key);
  const auto is_on = [&](const std::string& key) {
    const auto changed = closed.find(key);
    return changed != closed.end() ? changed->second == "true" : base_->settings.Bool(key);
  };
  // Changes that were asked for are not undone: Parse() refuses what contradicts itself.
  const auto set = [&](const std::string& key, bool on) {
    if (changes.contains(key) || is_on(key) == on) return;
    closed[key] = on ? "true" : "false";
    left.push_back(key);
  };
  for (size_t i = 0; i < left.size(); ++i) {
    const std::string key = left[i];
    const SettingSpec* spec = inputs_.schema->Find(key);
    if (spec == nullptr || spec->kind != settings::Kind::kBool) continue;
    if (is_on(key)) {
      for (const std::string& required : spec->requires_keys) set(required, true);
      continue;
    }
    for (const auto& [other, other_spec] : inputs_.schema->specs()) {
      const auto& needs = other_spec.requires_keys;
      if (std::find(needs.begin(), needs.end(), key) != needs.end()) set(other, false);
    }
  }
  RawSettings raw = base_->settings.given();
  for (const auto& [key, value] : closed) raw[key] = value;
  return raw;
}

absl::StatusOr<World> Trials::With(const RawSettings& changes) {
  ++made_;
  ASSIGN_OR_RETURN(settings::Settings settings,
                   settings::Parse(*inputs_.schema, Closed(changes)));
  return MakeWorld(inputs_, settings, Reasons::kNone, base_.get(), cancelled_);
}

Effect Trials::EffectOf(const World& world) const {
  const Things things = ThingsIn(world);
  Effect effect{.come = Minus(things, present_),
                .gone = Minus(present_, things),
                .map_bytes = MapBytesOf(world.plan) - MapBytesOf(base_->plan),
                .instructions = InstructionsOf(world.plan) - InstructionsOf(base_->plan)};
  for (const auto& [key, value] : world.settings.values()) {
    const settings::Value& before = base_->settings.values().at(key);
    if (value != before) {
      effect.changes.push_back({key, settings::Format(before), settings::Format(value)});
    }
  }
  return effect;
}

}  // namespace bonsai::plan
