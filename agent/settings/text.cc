// SPDX-License-Identifier: Apache-2.0
#include "agent/settings/text.h"

#include <fmt/format.h>

namespace bonsai::settings {
namespace {
constexpr char kSpace[] = " \t\r\n\v\f";
constexpr size_t kLongest = 100;
}  // namespace

std::string Trim(const std::string& text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t start = 0;
  for (size_t end; (end = text.find(separator, start)) != std::string::npos; start = end + 1) {
    parts.push_back(text.substr(start, end - start));
  }
  parts.push_back(text.substr(start));
  return parts;
}

std::string Join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) joined += separator;
    joined += parts[i];
  }
  return joined;
}

std::string Printable(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size() && i < kLongest; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x7f) {
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += fmt::format("\\x{:02x}", c);
    }
  }
  if (text.size() > kLongest) out += fmt::format("... ({} characters)", text.size());
  return out;
}

std::string Quote(const std::string& text) { return "\"" + Printable(text) + "\""; }

}  // namespace bonsai::settings
