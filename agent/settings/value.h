// SPDX-License-Identifier: Apache-2.0
// One value of one setting: from text to Value. Pure; Format() in settings.h is the way back.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "agent/settings/settings.h"

namespace bonsai::settings {

// InvalidArgument that quotes the value and says what is allowed; it does not name the key.
// A list with several bad elements names them all.
absl::StatusOr<Value> ParseValue(const SettingSpec& spec, const std::string& text);

// What `spec` allows, as messages and reference pages say it: "true or false", "10..604800", ...
std::string Allowed(const SettingSpec& spec);

}  // namespace bonsai::settings
