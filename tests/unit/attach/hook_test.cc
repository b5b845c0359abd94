// SPDX-License-Identifier: Apache-2.0
#include "agent/attach/hook.h"

#include <gtest/gtest.h>

namespace bonsai::attach {
namespace {

TEST(Hook, NamesSurviveTheWayThroughAPin) {
  for (Hook hook : {HOOK_XDP, HOOK_FROM_POD, HOOK_TO_POD, HOOK_FROM_NETDEV}) {
    EXPECT_EQ(HookOfPin(HookPin(hook)), hook);
    auto parsed = ParseNumberedPin(NumberedPin(hook, 4294967295u));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->hook, hook);
    EXPECT_EQ(parsed->number, 4294967295u);
    EXPECT_EQ(HookPin(hook).find('.'), std::string::npos) << "bpffs refuses dots";
  }
  EXPECT_EQ(HookName(HOOK_FROM_NETDEV), "from-netdev");
  EXPECT_EQ(NumberedPin(HOOK_TO_POD, 12), "to_pod-12");
}

TEST(Hook, OtherPinsAreNotTaken) {
  for (const char* pin : {"", "-", "xdp", "xdp-", "xdp-x", "xdp-1x", "xdp--1", "qdisc-3", "-3",
                          "xdp-4294967296", "to-pod-3"}) {
    EXPECT_FALSE(ParseNumberedPin(pin).has_value()) << pin;
  }
}

TEST(Hook, EgressIsWhatEntersAPod) {
  EXPECT_EQ(DirectionOf(HOOK_TO_POD), kernel::Direction::kEgress);
  EXPECT_EQ(DirectionOf(HOOK_FROM_POD), kernel::Direction::kIngress);
  EXPECT_EQ(DirectionOf(HOOK_FROM_NETDEV), kernel::Direction::kIngress);
}

}  // namespace
}  // namespace bonsai::attach
