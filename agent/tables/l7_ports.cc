// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/l7_ports.h"

#include <charconv>
#include <cstdint>
#include <optional>

#include "agent/base/status.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

std::optional<uint16_t> ParsePort(const std::string& text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end) return std::nullopt;
  return port;
}

}  // namespace

absl::StatusOr<MapContents> BuildL7Ports(const std::vector<std::string>& ports) {
  l7_ports bitmap = {};
  for (const std::string& element : ports) {
    const size_t dash = element.find('-');
    const auto first = ParsePort(element.substr(0, dash));
    const auto last = dash == std::string::npos ? first : ParsePort(element.substr(dash + 1));
    if (!first || !last || *last < *first) {
      return base::InvalidArgument(
          "building the table of ports: \"{}\" is no port and no range of ports", element);
    }
    for (uint32_t port = *first; port <= *last; ++port) {
      bitmap.bits[port / 64] |= uint64_t{1} << port % 64;
    }
  }
  return MapContents{{ToBytes(uint32_t{0}), ToBytes(bitmap)}};
}

}  // namespace bonsai::tables
