// SPDX-License-Identifier: Apache-2.0
// Combinations of toggles that may stand together go through the verifier, all programs and all maps
// present: what the agent prunes may then be anything.
#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

struct Toggle {
  const char* name;
  const char* requires_;  // nullptr: nothing
};

constexpr Toggle kToggles[] = {{"enable_ipv4", nullptr},
                               {"enable_ipv6", nullptr},
                               {"enable_prefilter", nullptr},
                               {"enable_conntrack", nullptr},
                               {"enable_policy", "enable_conntrack"},
                               {"enable_load_balancer", "enable_conntrack"},
                               {"enable_flow_events", nullptr},
                               {"enable_datapath_metrics", nullptr},
                               {"enable_dns_visibility", nullptr},
                               {"enable_http_visibility", nullptr}};

bool MayStand(const Constants& constants) {
  for (const Toggle& toggle : kToggles) {
    if (constants.at(toggle.name) && toggle.requires_ && !constants.at(toggle.requires_))
      return false;
  }
  return true;
}

// The layer 7 features are a stage each, behind everything else: they are tried together and not at all
// with all the rest, each alone only where there is little else.
bool IsTried(const Constants& constants) {
  return constants.at("enable_dns_visibility") == constants.at("enable_http_visibility") ||
         !constants.at("enable_conntrack");
}

// Toggles by the bits of `mask`; sub-settings alternate so that both of their values are met.
Constants FromMask(unsigned mask) {
  Constants constants;
  for (unsigned bit = 0; bit < std::size(kToggles); ++bit)
    constants[kToggles[bit].name] = mask >> bit & 1;
  constants["flow_aggregation"] = mask >> 3 & 1;
  constants["policy_default_deny"] = constants["enable_policy"] && (mask & 1);
  constants["policy_audit_mode"] = constants["enable_policy"] && (mask >> 6 & 1);
  constants["ct_moving"] = mask >> 7 & 1;
  return constants;
}

class Verifier : public ::testing::TestWithParam<const char*> {};

TEST_P(Verifier, AcceptsCombinationsOfToggles) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
  unsigned loaded = 0;
  for (unsigned mask = 0; mask < 1u << std::size(kToggles); ++mask) {
    const Constants constants = FromMask(mask);
    if (!MayStand(constants) || !IsTried(constants)) continue;
    const Datapath datapath({.objects = {GetParam()}, .constants = constants});
    ASSERT_EQ(datapath.error(), "") << "toggles " << mask;
    ++loaded;
  }
  EXPECT_EQ(loaded, 384u);
}

// The bounds of its loops are constants.
TEST(LifeVerifier, AcceptsEveryWidthAndHeight) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
  for (const uint64_t width : {1, 2, 63, 64, 65, 127, 128, 1000, 1024, 1985, 2047, 2048}) {
    for (const uint64_t height : {1, 2, 100, 2048}) {
      const Datapath datapath({.objects = {"life"},
                               .constants = {{"enable_game_of_life", 1},
                                             {"life_width", width},
                                             {"life_height", height},
                                             {"life_cpu_percent", 1 + width % 100}}});
      ASSERT_EQ(datapath.error(), "") << width << "x" << height;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Object, Verifier,
                         ::testing::Values("xdp", "from_pod", "to_pod", "from_netdev"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace bonsai::testing
