// SPDX-License-Identifier: Apache-2.0
// A schema as the agent has it: its own table and settings of the kind that objects declare.
#pragma once

#include <gtest/gtest.h>

#include "agent/base/status.h"
#include "agent/settings/settings.h"

namespace bonsai::settings {

inline SettingSpec Toggle(const std::string& key, bool on, std::vector<std::string> needs = {}) {
  return {.key = key, .constant = key, .kind = Kind::kBool, .target = Target::kConstant,
          .default_value = on, .feature = "policy", .requires_keys = std::move(needs)};
}

inline SettingSpec Seconds(const std::string& key, uint64_t value, int64_t min, int64_t max) {
  return {.key = key, .constant = key, .kind = Kind::kUint, .target = Target::kConstant,
          .default_value = value, .min = min, .max = max, .feature = "conntrack"};
}

inline std::vector<SettingSpec> SampleSpecs() {
  std::vector<SettingSpec> specs = AgentSettings();
  specs.push_back(Toggle("enable-ipv4", true));
  specs.push_back(Toggle("enable-ipv6", true));
  specs.push_back(Toggle("enable-conntrack", true));
  specs.push_back(Toggle("enable-policy", false, {"enable-conntrack"}));
  specs.push_back(Toggle("policy-default-deny", false, {"enable-policy"}));
  specs.push_back(Seconds("ct-tcp-timeout", 8000, 10, 604800));
  return specs;
}

inline Schema SampleSchema() {
  auto schema = Schema::Make(SampleSpecs());
  if (!schema.ok()) ADD_FAILURE() << schema.status();
  return *std::move(schema);
}

// The message with which `raw` is refused; "accepted" when it is not.
inline std::string Refusal(const RawSettings& raw) {
  const auto settings = Parse(SampleSchema(), raw);
  if (settings.ok()) return "accepted";
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument);
  return base::Message(settings.status());
}

}  // namespace bonsai::settings
