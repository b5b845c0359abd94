// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/ports.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

namespace bonsai::tables {
namespace {

bool Covers(const PortPrefix& prefix, uint32_t port) {
  return (port >> (16 - prefix.bits)) == (uint32_t{prefix.port} >> (16 - prefix.bits));
}

// How many of the prefixes cover each port; all 65536 are asked.
void ExpectExactCover(uint16_t first, uint16_t last) {
  const auto prefixes = SplitPortRange(first, last);
  for (uint32_t port = 0; port <= 0xffff; ++port) {
    const auto covered =
        std::ranges::count_if(prefixes, [&](const auto& each) { return Covers(each, port); });
    ASSERT_EQ(covered, port >= first && port <= last ? 1 : 0)
        << first << "-" << last << " at port " << port;
  }
}

TEST(SplitPortRange, CoversEachPortOnceAtTheEdges) {
  const uint16_t edges[][2] = {{0, 0},         {0, 65535},     {1, 65535},    {65535, 65535},
                               {0, 1},         {80, 80},       {1024, 65535}, {1, 65534},
                               {30000, 32767}, {32767, 32768}, {8000, 8080}};
  for (const auto& [first, last] : edges) ExpectExactCover(first, last);
}

TEST(SplitPortRange, CoversEachPortOnceForAnyRange) {
  EXPECT_TRUE(rc::check([] {
    const auto a = *rc::gen::arbitrary<uint16_t>();
    const auto b = *rc::gen::arbitrary<uint16_t>();
    ExpectExactCover(std::min(a, b), std::max(a, b));
    RC_ASSERT(!::testing::Test::HasFailure());
  }));
}

TEST(SplitPortRange, IsAsShortAsItCanBe) {
  EXPECT_EQ(SplitPortRange(0, 65535), (std::vector<PortPrefix>{{0, 0}}));
  EXPECT_EQ(SplitPortRange(80, 80), (std::vector<PortPrefix>{{80, 16}}));
  EXPECT_EQ(SplitPortRange(8, 15), (std::vector<PortPrefix>{{8, 13}}));
  EXPECT_EQ(SplitPortRange(1, 4), (std::vector<PortPrefix>{{1, 16}, {2, 15}, {4, 16}}));
  EXPECT_EQ(SplitPortRange(1, 65534).size(), 30u);  // the worst case of 16 bits
}

}  // namespace
}  // namespace bonsai::tables
