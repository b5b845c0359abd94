// SPDX-License-Identifier: Apache-2.0
// Text of the operator's on its way in (trimmed) and back out in messages (quoted, one line).
#pragma once

#include <string>
#include <vector>

namespace bonsai::settings {

// Without white space at either end.
std::string Trim(const std::string& text);

// `text` cut at each `separator`; one element at least.
std::vector<std::string> Split(const std::string& text, char separator);

std::string Join(const std::vector<std::string>& parts, const std::string& separator);

// Whatever is not printable ASCII as \xNN, so that a message stays one line; cut after 100 characters.
std::string Printable(const std::string& text);
// The same in double quotes.
std::string Quote(const std::string& text);

}  // namespace bonsai::settings
