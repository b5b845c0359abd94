// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/input.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "agent/base/status.h"
#include "agent/settings/settings_source.h"
#include "agent/settings/text.h"

namespace bonsai::cli {

using settings::Printable;
using settings::RawSettings;

namespace {

absl::Status CheckUtf8(const std::string& where, const std::string& text) {
  if (IsUtf8(text)) return absl::OkStatus();
  return base::InvalidArgument("{}: not UTF-8", where);
}

}  // namespace

absl::StatusOr<std::string> ReadWhole(const std::string& path, size_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::InvalidArgument("reading {}: {}", Printable(path), std::strerror(errno));
  std::string text;
  std::vector<char> chunk(1 << 16);
  while (text.size() <= limit && file) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk.data(), static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) return base::InvalidArgument("reading {}: not a readable file", Printable(path));
  if (text.size() > limit) {
    return base::InvalidArgument("reading {}: larger than {} bytes", Printable(path), limit);
  }
  return text;
}

std::optional<std::pair<std::string, std::string>> Cut(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

absl::StatusOr<RawSettings> ReadConfig(const std::string& path) {
  if (path.empty()) return RawSettings();
  std::error_code error;
  absl::StatusOr<RawSettings> raw;
  if (std::filesystem::is_directory(path, error)) {
    raw = settings::ReadDirectory(path);
  } else {
    ASSIGN_OR_RETURN(const std::string text, ReadWhole(path, kLargestConfig));
    raw = settings::ParseYaml(Printable(path), text);
  }
  if (!raw.ok()) return absl::InvalidArgumentError(base::Message(raw.status()));
  for (const auto& [key, value] : *raw) {
    RETURN_IF_ERROR(CheckUtf8(Printable(path) + ": " + Printable(key), key + value));
  }
  return raw;
}

absl::StatusOr<RawSettings> ReadAssignments(const std::vector<std::string>& assignments) {
  RawSettings values;
  for (const std::string& text : assignments) {
    const auto sides = Cut(text);
    if (!sides) return base::InvalidArgument("--set {}: expected KEY=VALUE", Printable(text));
    RETURN_IF_ERROR(CheckUtf8("--set " + Printable(text), text));
    values[sides->first] = sides->second;
  }
  return values;
}

bool IsUtf8(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const auto first = static_cast<uint8_t>(text[at]);
    const size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || at + length > text.size()) return false;
    uint32_t code = length == 1 ? first : first & (0x7f >> length);
    for (size_t i = 1; i < length; ++i) {
      const auto next = static_cast<uint8_t>(text[at + i]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < kLeast[length] || surrogate || code > 0x10ffff) return false;
    at += length;
  }
  return true;
}

}  // namespace bonsai::cli
