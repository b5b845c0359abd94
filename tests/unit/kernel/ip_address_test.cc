// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/ip_address.h"

#include <gtest/gtest.h>

namespace bonsai::kernel {
namespace {

TEST(IpAddress, RoundTripsThroughText) {
  for (const char* text : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "fd00::1",
                           "2001:db8:1:2:3:4:5:6"}) {
    const auto address = ParseIpAddress(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(ToString(*address), text);
  }
  EXPECT_EQ(ParseIpAddress("192.0.2.1")->bytes[3], 1);
  EXPECT_EQ(ParseIpAddress("fd00::1")->bytes[15], 1);
}

TEST(IpAddress, RefusesWhatIsNone) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "fd00:::1", "g::", "a.b.c.d"}) {
    EXPECT_FALSE(ParseIpAddress(text)) << text;
  }
}

}  // namespace
}  // namespace bonsai::kernel
