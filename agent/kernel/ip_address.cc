// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/ip_address.h"

#include <arpa/inet.h>

namespace bonsai::kernel {

int SocketFamily(const IpAddress& address) { return address.family == 4 ? AF_INET : AF_INET6; }

size_t Length(const IpAddress& address) { return address.family == 4 ? 4 : 16; }

std::string ToString(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(SocketFamily(address), address.bytes, text, sizeof(text));
  return text;
}

std::optional<IpAddress> ParseIpAddress(const std::string& text) {
  IpAddress address;
  address.family = text.find(':') == std::string::npos ? 4 : 6;
  if (inet_pton(SocketFamily(address), text.c_str(), address.bytes) != 1) return std::nullopt;
  return address;
}

}  // namespace bonsai::kernel
