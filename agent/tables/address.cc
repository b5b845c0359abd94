// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

#include "datapath/include/contract.h"

namespace bonsai::tables {

std::optional<Address> ParseAddress(const std::string& text) {
  // inet_pton stops at a NUL; text with one inside is no address.
  if (text.find('\0') != std::string::npos) return std::nullopt;
  Address address;
  address.family = text.find(':') == std::string::npos ? 4 : 6;
  const int family = address.family == 4 ? AF_INET : AF_INET6;
  if (inet_pton(family, text.c_str(), address.bytes) != 1) return std::nullopt;
  return address;
}

std::string ToString(const Address& address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.bytes, text, sizeof(text));
  return text;
}

std::optional<Cidr> ParseCidr(const std::string& text) {
  const size_t slash = text.find('/');
  auto address = ParseAddress(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string::npos) return HostCidr(*address);

  uint32_t prefix = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data() + slash + 1, end, prefix);
  if (error != std::errc() || stop != end || prefix > AddressBits(*address)) return std::nullopt;
  return MakeCidr(*address, prefix);
}

std::string ToString(const Cidr& cidr) {
  return ToString(cidr.address) + "/" + std::to_string(cidr.prefix);
}

Cidr MakeCidr(const Address& address, uint32_t prefix) {
  Cidr cidr{address, prefix};
  for (uint32_t i = 0; i < sizeof(address.bytes); ++i) {
    const uint32_t kept = prefix <= i * 8 ? 0 : prefix - i * 8;
    if (kept < 8) cidr.address.bytes[i] &= static_cast<uint8_t>(0xff00 >> kept);
  }
  return cidr;
}

Cidr HostCidr(const Address& address) { return Cidr{address, AddressBits(address)}; }

bool Contains(const Cidr& outer, const Address& address) {
  return outer.address.family == address.family &&
         MakeCidr(address, outer.prefix).address == outer.address;
}

bool Contains(const Cidr& outer, const Cidr& inner) {
  return inner.prefix >= outer.prefix && Contains(outer, inner.address);
}

std::optional<Cidr> MostSpecific(const std::set<Cidr>& cidrs, const Address& address) {
  for (int prefix = static_cast<int>(AddressBits(address)); prefix >= 0; --prefix) {
    auto found = cidrs.find(MakeCidr(address, static_cast<uint32_t>(prefix)));
    if (found != cidrs.end()) return *found;
  }
  return std::nullopt;
}

Bytes LpmKey(const Cidr& cidr) {
  if (cidr.address.family == 4) {
    lpm_key4 key = {.prefixlen = cidr.prefix};
    std::memcpy(&key.addr, cidr.address.bytes, sizeof(key.addr));
    return ToBytes(key);
  }
  lpm_key6 key = {.prefixlen = cidr.prefix};
  std::memcpy(key.addr, cidr.address.bytes, sizeof(key.addr));
  return ToBytes(key);
}

}  // namespace bonsai::tables
