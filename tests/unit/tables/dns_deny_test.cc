// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/dns_deny.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

using ::testing::HasSubstr;

// "3com7example" as it lies in a key, and with a 0 behind it if `alone`.
Bytes Key(const std::string& labels, bool alone) {
  dns_deny_key key = {};
  size_t at = 0;
  for (const char c : labels) {
    key.name[at++] = c >= '0' && c <= '9' ? static_cast<uint8_t>(c - '0') : static_cast<uint8_t>(c);
  }
  key.prefixlen = static_cast<uint32_t>((at + alone) * 8);
  return ToBytes(key);
}

dns_deny_value At(const MapContents& map, const Bytes& key) {
  const auto found = map.find(key);
  if (found == map.end()) return {.rule = 99, .action = 0};
  return FromBytes<dns_deny_value>(found->second);
}

TEST(BuildDnsDeny, ReversesLabelsAndEndsWhatStandsAlone) {
  const MapContents map = *BuildDnsDeny({"example.com", ".test", "*.a.org"});
  EXPECT_EQ(map.size(), 4u);
  EXPECT_EQ(At(map, Key("3com7example", true)).action, DNS_DENY);
  EXPECT_EQ(At(map, Key("4test", false)).rule, 1u);
  EXPECT_EQ(At(map, Key("3org1a", false)).action, DNS_DENY);
  EXPECT_EQ(At(map, Key("3org1a", true)).action, DNS_ALLOW);
  EXPECT_EQ(At(map, Key("3org1a", true)).rule, 2u);
}

TEST(BuildDnsDeny, LetsADomainAloneOnlyIfNothingElseDeniesIt) {
  const auto allows = [](const std::vector<std::string>& names) {
    return At(*BuildDnsDeny(names), Key("3org1a", true)).action == DNS_ALLOW;
  };
  EXPECT_TRUE(allows({"*.a.org"}));
  EXPECT_TRUE(allows({"*.a.org", "org", "b.org", "*.b.org", ".x.a.org"}));
  EXPECT_FALSE(allows({"*.a.org", "a.org"}));
  EXPECT_FALSE(allows({"a.org", "*.a.org"}));
  EXPECT_FALSE(allows({"*.a.org", ".a.org"}));
  EXPECT_FALSE(allows({"*.a.org", ".org"}));
  EXPECT_FALSE(allows({"*.a.org", "*.org"}));
}

TEST(BuildDnsDeny, FirstOfEqualEntriesCounts) {
  const MapContents map = *BuildDnsDeny({"x", "a", "a", ".b", "*.b"});
  EXPECT_EQ(At(map, Key("1a", true)).rule, 1u);
  EXPECT_EQ(At(map, Key("1b", false)).rule, 3u);
  EXPECT_EQ(map.size(), 3u);
}

TEST(BuildDnsDeny, TakesTheLongestNameAndNoLonger) {
  const std::string label(63, 'x'), three = label + "." + label + "." + label + ".";
  EXPECT_TRUE(BuildDnsDeny({three + std::string(61, 'y')}).ok());
  EXPECT_FALSE(BuildDnsDeny({three + std::string(62, 'y')}).ok());
  EXPECT_FALSE(BuildDnsDeny({std::string(64, 'x')}).ok());
}

TEST(BuildDnsDeny, RefusesWhatIsNoName) {
  for (const char* text : {"", ".", "*.", "a..b", "..a", "a."}) {
    const auto map = BuildDnsDeny({"ok", text});
    ASSERT_EQ(map.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(map.status().message()), HasSubstr("entry 1"));
  }
}

}  // namespace
}  // namespace bonsai::tables
