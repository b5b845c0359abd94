// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

#include "agent/base/status.h"
#include "agent/settings/settings.h"
#include "agent/settings/text.h"
#include "agent/settings/value.h"

namespace bonsai::settings {
namespace {

using Values = std::map<std::string, Value>;

std::string UnknownKey(const Schema& schema, const std::string& key) {
  const std::string nearest = schema.Nearest(key);
  if (nearest.empty()) return Printable(key) + ": unknown setting, and no known name is near it";
  return Printable(key) + ": unknown setting; did you mean " + nearest + "?";
}

bool IsOn(const Values& values, const std::string& key) {
  const auto it = values.find(key);
  const bool* on = it == values.end() ? nullptr : std::get_if<bool>(&it->second);
  return on != nullptr && *on;
}

// `values` lacks the keys whose values were refused: what hangs on those is not said twice.
void CheckRequirements(const Schema& schema, const RawSettings& raw, const Values& values,
                       std::vector<std::string>& problems) {
  for (const auto& [key, spec] : schema.specs()) {
    if (!IsOn(values, key)) continue;
    for (const std::string& needed : spec.requires_keys) {
      const bool known = schema.Find(needed) != nullptr;
      if (IsOn(values, needed) || (known && !values.contains(needed))) continue;
      std::string problem =
          fmt::format("{}: needs {}, which {}", key, needed, known ? "is off" : "does not exist");
      if (!raw.contains(key)) problem += fmt::format(" ({} is on by default)", key);
      problems.push_back(problem);
    }
  }
}

// Each family of prefilter CIDRs has to fit into its table.
void CheckPrefilter(const Values& values, std::vector<std::string>& problems) {
  const auto cidrs = values.find("prefilter-cidrs");
  const auto entries = values.find("prefilter-entries");
  if (cidrs == values.end() || entries == values.end()) return;
  const auto* list = std::get_if<std::vector<std::string>>(&cidrs->second);
  const auto* room = std::get_if<uint64_t>(&entries->second);
  if (list == nullptr || room == nullptr) return;
  size_t v6 = 0;
  for (const std::string& cidr : *list) v6 += cidr.find(':') == std::string::npos ? 0 : 1;
  const size_t most = std::max(v6, list->size() - v6);
  if (most > *room) {
    problems.push_back(fmt::format("prefilter-cidrs: has {} CIDRs of one family; raise "
                                   "prefilter-entries, which is {}", most, *room));
  }
}

// What is denied has to fit into its table; BuildDnsDeny() says how much an entry takes.
void CheckDnsDeny(const Values& values, std::vector<std::string>& problems) {
  const auto names = values.find("dns-deny");
  const auto entries = values.find("dns-deny-entries");
  if (names == values.end() || entries == values.end()) return;
  const auto* list = std::get_if<std::vector<std::string>>(&names->second);
  const auto* room = std::get_if<uint64_t>(&entries->second);
  if (list == nullptr || room == nullptr) return;
  const size_t wanted = list->size() + std::ranges::count_if(*list, [](const std::string& name) {
                          return name.starts_with("*");
                        });
  if (wanted > *room) {
    problems.push_back(fmt::format("dns-deny: may take {} entries; raise dns-deny-entries, which is "
                                   "{}", wanted, *room));
  }
}

template <typename T>
const T& Get(const Values& values, const std::string& key, const char* type) {
  const auto it = values.find(key);
  const T* value = it == values.end() ? nullptr : std::get_if<T>(&it->second);
  if (value == nullptr) {
    fmt::print(stderr, "bug: setting {} is asked for as {}, which it is not\n", key, type);
    std::abort();
  }
  return *value;
}

}  // namespace

absl::StatusOr<Settings> Parse(const Schema& schema, const RawSettings& raw) {
  Settings settings;
  std::vector<std::string> problems;
  for (const auto& [key, spec] : schema.specs()) settings.values_[key] = spec.default_value;
  for (const auto& [key, text] : raw) {
    const SettingSpec* spec = schema.Find(key);
    if (spec == nullptr) {
      problems.push_back(UnknownKey(schema, key));
      continue;
    }
    auto value = ParseValue(*spec, text);
    if (value.ok()) {
      settings.values_[key] = *std::move(value);
    } else {
      problems.push_back(key + ": " + base::Message(value.status()));
      settings.values_.erase(key);
    }
  }
  CheckRequirements(schema, raw, settings.values_, problems);
  CheckPrefilter(settings.values_, problems);
  CheckDnsDeny(settings.values_, problems);
  if (!problems.empty()) return absl::InvalidArgumentError(Join(problems, "\n"));
  settings.given_ = raw;
  return settings;
}

std::string Format(const Value& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::string>) {
          return v;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          return Join(v, ",");
        } else {
          return std::to_string(v);
        }
      },
      value);
}

bool Settings::Bool(const std::string& key) const { return Get<bool>(values_, key, "a switch"); }

uint64_t Settings::Uint(const std::string& key) const {
  return Get<uint64_t>(values_, key, "a number");
}

const std::string& Settings::String(const std::string& key) const {
  return Get<std::string>(values_, key, "a string");
}

const std::vector<std::string>& Settings::List(const std::string& key) const {
  return Get<std::vector<std::string>>(values_, key, "a list");
}

}  // namespace bonsai::settings
