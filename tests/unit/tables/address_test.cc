// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/address.h"

#include <gtest/gtest.h>

#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

TEST(Address, PrintsWhatItParsed) {
  for (const std::string text : {"0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "::1", "fd00::1:2",
                                 "2001:db8:1:2:3:4:5:6"}) {
    const auto address = ParseAddress(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(ToString(*address), text);
    EXPECT_EQ(address->family, text.find(':') == std::string::npos ? 4 : 6);
  }
}

TEST(Address, IsRefusedWhenMalformed) {
  for (const std::string text : {"", "10.0.0", "10.0.0.256", "10.0.0.1 ", "fd00::1::2", "host",
                                 "10.0.0.1/32", "fd00::1%eth0"}) {
    EXPECT_FALSE(ParseAddress(text)) << text;
  }
  EXPECT_FALSE(ParseAddress(std::string("10.0.0.1\0x", 10)));
}

TEST(Cidr, ClearsHostBits) {
  EXPECT_EQ(ToString(*ParseCidr("10.255.255.255/9")), "10.128.0.0/9");
  EXPECT_EQ(ToString(*ParseCidr("10.1.2.3/0")), "0.0.0.0/0");
  EXPECT_EQ(ToString(*ParseCidr("fd00:1:2:3::5/33")), "fd00:1::/33");
  EXPECT_EQ(*ParseCidr("10.0.0.77/24"), *ParseCidr("10.0.0.0/24"));
}

TEST(Cidr, IsOneAddressWithoutPrefix) {
  EXPECT_EQ(ToString(*ParseCidr("10.1.2.3")), "10.1.2.3/32");
  EXPECT_EQ(ToString(*ParseCidr("fd00::1")), "fd00::1/128");
}

TEST(Cidr, IsRefusedWhenMalformed) {
  for (const std::string text :
       {"", "/", "10.0.0.0/", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/8x",
        "10.0.0.0/ 8", "10.0.0.0/8/8", "10.0.0/8", "10.0.0.0/99999999999"}) {
    EXPECT_FALSE(ParseCidr(text)) << text;
  }
}

TEST(Cidr, ContainsWhatItCovers) {
  const auto cidr = [](const char* text) { return *ParseCidr(text); };
  EXPECT_TRUE(Contains(cidr("10.0.0.0/8"), *ParseAddress("10.255.0.1")));
  EXPECT_FALSE(Contains(cidr("10.0.0.0/8"), *ParseAddress("11.0.0.0")));
  EXPECT_FALSE(Contains(cidr("0.0.0.0/0"), *ParseAddress("::")));
  EXPECT_TRUE(Contains(cidr("10.0.0.0/8"), cidr("10.0.0.0/8")));
  EXPECT_TRUE(Contains(cidr("10.0.0.0/8"), cidr("10.1.0.0/16")));
  EXPECT_FALSE(Contains(cidr("10.1.0.0/16"), cidr("10.0.0.0/8")));
}

TEST(Cidr, MostSpecificIsTheLongest) {
  const std::set<Cidr> cidrs = {*ParseCidr("0.0.0.0/0"), *ParseCidr("10.0.0.0/8"),
                                *ParseCidr("10.1.0.0/16"), *ParseCidr("fd00::/8")};
  EXPECT_EQ(MostSpecific(cidrs, *ParseAddress("10.1.2.3")), ParseCidr("10.1.0.0/16"));
  EXPECT_EQ(MostSpecific(cidrs, *ParseAddress("10.2.2.3")), ParseCidr("10.0.0.0/8"));
  EXPECT_EQ(MostSpecific(cidrs, *ParseAddress("9.9.9.9")), ParseCidr("0.0.0.0/0"));
  EXPECT_EQ(MostSpecific(cidrs, *ParseAddress("fe00::1")), std::nullopt);
}

TEST(LpmKey, HasPrefixInHostAndAddressInNetworkOrder) {
  const auto key4 = FromBytes<lpm_key4>(LpmKey(*ParseCidr("10.1.0.0/16")));
  EXPECT_EQ(key4.prefixlen, 16u);
  EXPECT_EQ(ToBytes(key4.addr), std::string("\x0a\x01\x00\x00", 4));
  const Bytes bytes6 = LpmKey(*ParseCidr("fd00::/8"));
  ASSERT_EQ(bytes6.size(), sizeof(lpm_key6));
  EXPECT_EQ(FromBytes<lpm_key6>(bytes6).prefixlen, 8u);
  EXPECT_EQ(FromBytes<lpm_key6>(bytes6).addr[0], 0xfd);
}

}  // namespace
}  // namespace bonsai::tables
