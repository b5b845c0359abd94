// SPDX-License-Identifier: Apache-2.0
// What a single string must look like, by the `element` name of a SettingSpec. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace bonsai::settings {

// The canonical spelling of `text`, or InvalidArgument that quotes it and says what is wrong.
// Elements: "cidr", "device-pattern", "host-port", "port" (a port or a range of ports, 8000-8100),
// "dns-name" (example.com, .example.com, *.example.com), "" (anything).
absl::StatusOr<std::string> ParseElement(const std::string& element, const std::string& text);

// For reference pages: what an element looks like, e.g. "CIDR".
std::string DescribeElement(const std::string& element);

}  // namespace bonsai::settings
