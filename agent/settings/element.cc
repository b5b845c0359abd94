// SPDX-License-Identifier: Apache-2.0
#include "agent/settings/element.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "agent/base/status.h"
#include "agent/settings/text.h"

namespace bonsai::settings {
namespace {

using base::InvalidArgument;

struct Ip {
  int family = AF_INET;
  std::array<uint8_t, 16> bytes{};
  int bits() const { return family == AF_INET ? 32 : 128; }
};

std::optional<Ip> ParseIp(const std::string& text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string::npos) return std::nullopt;
  Ip ip;
  ip.family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(ip.family, text.c_str(), ip.bytes.data()) != 1) return std::nullopt;
  return ip;
}

std::string ToString(const Ip& ip) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(ip.family, ip.bytes.data(), text, sizeof(text));
  return text;
}

// Digits only, no sign, no leading zero.
std::optional<int> ParseSmall(const std::string& text, int max) {
  int value = 0;
  const char* end = text.data() + text.size();
  const bool plain = !text.empty() && text[0] >= '0' && text[0] <= '9' &&
                     (text.size() == 1 || text[0] != '0');
  if (!plain) return std::nullopt;
  auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value > max) return std::nullopt;
  return value;
}

// The network of `ip`: bits after the prefix cleared.
Ip Network(const Ip& ip, int prefix) {
  Ip network = ip;
  for (int bit = prefix; bit < ip.bits(); ++bit) {
    network.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
  }
  return network;
}

absl::StatusOr<std::string> ParseCidr(const std::string& text) {
  const size_t slash = text.find('/');
  const auto ip = ParseIp(text.substr(0, slash));
  if (!ip) return InvalidArgument("{} is not a CIDR such as 10.0.0.0/8 or fd00::/8", Quote(text));
  if (slash == std::string::npos) {
    return InvalidArgument("{} has no prefix length; write {}/{}", Quote(text), ToString(*ip),
                           ip->bits());
  }
  const auto prefix = ParseSmall(text.substr(slash + 1), ip->bits());
  if (!prefix) {
    return InvalidArgument("{} has a bad prefix length, allowed 0..{}", Quote(text), ip->bits());
  }
  const Ip network = Network(*ip, *prefix);
  const std::string canonical = fmt::format("{}/{}", ToString(network), *prefix);
  if (network.bytes != ip->bytes) {
    return InvalidArgument("{} has bits set after its prefix; write {}", Quote(text), canonical);
  }
  return canonical;
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-' || c == '@';
}

// The index of the ']' that ends the class which begins at `open`, if it is one such as [abc],
// [0-9] or [!a].
std::optional<size_t> EndOfClass(const std::string& text, size_t open) {
  const size_t close = text.find(']', open);
  if (close == std::string::npos) return std::nullopt;
  size_t first = open + 1;
  if (text[first] == '!' || text[first] == '^') ++first;
  const bool plain = std::all_of(text.begin() + first, text.begin() + close, IsNameCharacter);
  if (first == close || !plain) return std::nullopt;
  return close;
}

// The fewest characters a name that `pattern` matches can have; nothing when it is no pattern.
std::optional<size_t> ShortestMatch(const std::string& pattern) {
  size_t length = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '*') continue;
    ++length;
    if (pattern[i] == '?' || IsNameCharacter(pattern[i])) continue;
    const auto end = pattern[i] == '[' ? EndOfClass(pattern, i) : std::nullopt;
    if (!end) return std::nullopt;
    i = *end;
  }
  return length;
}

// Strict: a pattern that can match no device would take every pod off the datapath without a word.
absl::StatusOr<std::string> ParseDevicePattern(const std::string& text) {
  constexpr size_t kLongestPattern = 64;  // classes such as [a-z] take more than they match
  constexpr size_t kLongestName = 15;     // IFNAMSIZ without its NUL
  const auto shortest = ShortestMatch(text);
  if (text.empty() || text.size() > kLongestPattern || !shortest) {
    return InvalidArgument(
        "{} is not a device name or pattern; allowed are letters, digits, . _ - @ * ? and classes "
        "such as [0-9], without quotes; write for example veth*,cali*",
        Quote(text));
  }
  if (*shortest > kLongestName) {
    return InvalidArgument("{} is too long for a device, whose name has at most {} characters",
                           Quote(text), kLongestName);
  }
  return text;
}

// The HTTP server as distributions build it listens on IPv4 only.
absl::StatusOr<std::string> ParseHostPort(const std::string& text) {
  if (text.empty()) return text;
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const auto ip = ParseIp(host);
  if (ip && ip->family == AF_INET6) {
    return InvalidArgument(
        "{} is an IPv6 address, which cannot be served; write an IPv4 address such as 0.0.0.0:9962",
        Quote(text));
  }
  const auto port =
      colon == std::string::npos ? std::nullopt : ParseSmall(text.substr(colon + 1), 65535);
  if (!ip || host.size() != colon || !port || *port == 0) {
    return InvalidArgument(
        "{} is not ADDRESS:PORT such as 127.0.0.1:9962 or 0.0.0.0:9962; \"\" turns it off",
        Quote(text));
  }
  return fmt::format("{}:{}", ToString(*ip), *port);
}

// A port, or a range of them, both ends included.
absl::StatusOr<std::string> ParsePort(const std::string& text) {
  const size_t dash = text.find('-');
  const auto first = ParseSmall(text.substr(0, dash), 65535);
  const auto last =
      dash == std::string::npos ? first : ParseSmall(text.substr(dash + 1), 65535);
  if (!first || !last || *first == 0) {
    return InvalidArgument("{} is not a port 1..65535 or a range of ports such as 8000-8100",
                           Quote(text));
  }
  if (*last < *first) {
    return InvalidArgument("{} is a range that ends before it begins; write {}-{}", Quote(text),
                           *last, *first);
  }
  return *first == *last ? std::to_string(*first) : fmt::format("{}-{}", *first, *last);
}

bool IsLabel(const std::string& label) {
  constexpr size_t kLongest = 63;
  return !label.empty() && label.size() <= kLongest &&
         std::all_of(label.begin(), label.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
         });
}

// A name, or one behind "." or "*.". Punycode is expected of international ones.
absl::StatusOr<std::string> ParseDnsName(const std::string& text) {
  constexpr size_t kLongest = 253;  // 255 in wire format
  std::string name = text;
  for (char& c : name) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      return InvalidArgument("{} is not ASCII; write international names as xn--...", Quote(text));
    }
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  const size_t prefix = name.starts_with("*.") ? 2 : name.starts_with(".") ? 1 : 0;
  const std::vector<std::string> labels = Split(name.substr(prefix), '.');
  if (!std::all_of(labels.begin(), labels.end(), IsLabel)) {
    return InvalidArgument(
        "{} is not a DNS name: labels have 1 to 63 letters, digits, - and _; write example.com for "
        "that name, .example.com for it and all below it, *.example.com for all below it",
        Quote(text));
  }
  if (name.size() - prefix > kLongest) {
    return InvalidArgument("{} is too long for a DNS name, which has at most {} characters",
                           Quote(text), kLongest);
  }
  return name;
}

}  // namespace

absl::StatusOr<std::string> ParseElement(const std::string& element, const std::string& text) {
  if (element == "cidr") return ParseCidr(text);
  if (element == "device-pattern") return ParseDevicePattern(text);
  if (element == "host-port") return ParseHostPort(text);
  if (element == "port") return ParsePort(text);
  if (element == "dns-name") return ParseDnsName(text);
  if (element.empty()) return text;
  return base::Internal("unknown kind of element {}", Quote(element));
}

std::string DescribeElement(const std::string& element) {
  if (element == "cidr") return "CIDR";
  if (element == "device-pattern") return "device name or pattern";
  if (element == "host-port") return "IPv4 address:port, or empty for off";
  if (element == "port") return "port or range of ports";
  if (element == "dns-name") return "DNS name, alone or behind . or *.";
  return "text";
}

}  // namespace bonsai::settings
