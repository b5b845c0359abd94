// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/dns_deny.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>

#include "agent/base/status.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

enum class Scope { kName, kBelow, kDomain };  // "x", "*.x", ".x"

struct Entry {
  Scope scope = Scope::kName;
  std::string domain;
};

Entry Split(const std::string& text) {
  if (text.starts_with("*.")) return {Scope::kBelow, text.substr(2)};
  if (text.starts_with(".")) return {Scope::kDomain, text.substr(1)};
  return {Scope::kName, text};
}

// Labels from the last to the first, each behind its length. Nothing when a label is empty or all of it
// is too long for a name.
std::optional<std::string> Reversed(const std::string& domain) {
  constexpr size_t kLongestLabel = 63;
  std::string key;
  size_t end = domain.size();
  while (true) {
    const size_t dot = end == 0 ? std::string::npos : domain.rfind('.', end - 1);
    const size_t begin = dot == std::string::npos ? 0 : dot + 1;
    const size_t size = end - begin;
    if (size == 0 || size > kLongestLabel || key.size() + size + 2 > DNS_NAME_MAX) {
      return std::nullopt;
    }
    key += static_cast<char>(size);
    key += domain.substr(begin, size);
    if (dot == std::string::npos) return key;
    end = dot;
  }
}

Bytes Key(const std::string& reversed, bool alone) {
  dns_deny_key key = {};
  key.prefixlen = static_cast<uint32_t>((reversed.size() + (alone ? 1 : 0)) * 8);
  std::memcpy(key.name, reversed.data(), reversed.size());
  return ToBytes(key);
}

// Whether entries other than "*.`domain`" deny the domain itself.
bool IsDenied(const std::set<std::string>& list, const std::string& domain) {
  if (list.contains(domain) || list.contains("." + domain)) return true;
  for (size_t dot = domain.find('.'); dot != std::string::npos; dot = domain.find('.', dot + 1)) {
    if (list.contains(domain.substr(dot)) || list.contains("*" + domain.substr(dot))) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<MapContents> BuildDnsDeny(const std::vector<std::string>& names) {
  const std::set<std::string> list(names.begin(), names.end());
  MapContents map;
  for (uint32_t rule = 0; rule < names.size(); ++rule) {
    const Entry entry = Split(names[rule]);
    const auto reversed = Reversed(entry.domain);
    if (!reversed) {
      return base::InvalidArgument("building the table of denied names: entry {} \"{}\" is no name",
                                   rule, names[rule]);
    }
    map.emplace(Key(*reversed, entry.scope == Scope::kName),
                ToBytes(dns_deny_value{.rule = rule, .action = DNS_DENY}));
    if (entry.scope == Scope::kBelow && !IsDenied(list, entry.domain)) {
      map.emplace(Key(*reversed, true), ToBytes(dns_deny_value{.rule = rule, .action = DNS_ALLOW}));
    }
  }
  return map;
}

}  // namespace bonsai::tables
