// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "agent/base/status.h"
#include "agent/settings/settings.h"
#include "agent/settings/text.h"
#include "agent/settings/value.h"

namespace bonsai::settings {
namespace {

// The first thing in which two specs of one key part, or "".
std::string Difference(const SettingSpec& a, const SettingSpec& b) {
  if (a.kind != b.kind) return "type";
  if (a.target != b.target || a.constant != b.constant) return "constant";
  if (a.default_value != b.default_value) return "default";
  if (std::tie(a.min, a.max) != std::tie(b.min, b.max)) return "range";
  if (a.power_of_two != b.power_of_two || a.choices != b.choices || a.element != b.element) {
    return "allowed values";
  }
  if (a.feature != b.feature) return "feature";
  if (a.doc != b.doc) return "doc";
  auto sorted = [](std::vector<std::string> keys) {
    std::sort(keys.begin(), keys.end());
    return keys;
  };
  return sorted(a.requires_keys) == sorted(b.requires_keys) ? "" : "requirements";
}

bool IsKebabCase(const std::string& key) {
  const bool letters = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  return letters && !key.empty() && key.front() != '-' && key.back() != '-';
}

absl::Status CheckSpec(const SettingSpec& spec) {
  if (!IsKebabCase(spec.key)) {
    return base::InvalidArgument("declaring setting {}: the key is not kebab-case", Quote(spec.key));
  }
  const std::string text = Format(spec.default_value);
  const auto parsed = ParseValue(spec, text);
  if (!parsed.ok()) {
    return base::Annotate(parsed.status(), "declaring setting " + spec.key + ": its default");
  }
  if (*parsed != spec.default_value) {
    return base::InvalidArgument("declaring setting {}: its default {} has another type or spelling",
                                 spec.key, Quote(text));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Schema> Schema::Make(std::vector<SettingSpec> specs) {
  Schema schema;
  for (SettingSpec& spec : specs) {
    RETURN_IF_ERROR(CheckSpec(spec));
    const std::string key = spec.key;
    auto [known, added] = schema.specs_.try_emplace(key, spec);
    if (added) continue;
    if (const std::string what = Difference(known->second, spec); !what.empty()) {
      return base::InvalidArgument("declaring setting {}: two declarations differ in {}", key, what);
    }
  }
  return schema;
}

const SettingSpec* Schema::Find(const std::string& key) const {
  auto it = specs_.find(key);
  return it == specs_.end() ? nullptr : &it->second;
}

}  // namespace bonsai::settings
