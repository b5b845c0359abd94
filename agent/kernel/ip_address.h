// SPDX-License-Identifier: Apache-2.0
// An IP address as the kernel's interfaces carry it. Plain data.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace bonsai::kernel {

struct IpAddress {
  uint8_t family = 4;      // 4 or 6
  uint8_t bytes[16] = {};  // network byte order; IPv4 in the first four, the rest zero
  auto operator<=>(const IpAddress&) const = default;
};

// AF_INET or AF_INET6.
int SocketFamily(const IpAddress& address);
// Bytes of an address of its family: 4 or 16.
size_t Length(const IpAddress& address);

std::string ToString(const IpAddress& address);
std::optional<IpAddress> ParseIpAddress(const std::string& text);

}  // namespace bonsai::kernel
