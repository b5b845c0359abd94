// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/feature_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/plan/shipped.h"

namespace bonsai::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class FeatureCostTest : public ::testing::Test {
 protected:
  std::map<std::string, FeatureCost> Costs(const settings::RawSettings& raw,
                                           const MapUses& maps = {}) const {
    const InForce now(inputs_, raw);
    auto costs = FeatureCosts(inputs_, now.settings, now.plan, maps, nullptr);
    EXPECT_TRUE(costs.ok()) << costs.status();
    std::map<std::string, FeatureCost> by_name;
    if (!costs.ok()) return by_name;
    for (const FeatureCost& cost : *costs) by_name[cost.feature] = cost;
    return by_name;
  }
  Totals Plan(const settings::RawSettings& raw) const {
    return TotalsOf(InForce(inputs_, raw).plan, {});
  }

  Inputs inputs_ = ShippedInputs();
};

TEST_F(FeatureCostTest, IsTheDifferenceOfTwoPlans) {
  const auto costs = Costs({});
  const auto& specs = inputs_.schema->specs();
  EXPECT_EQ(costs.size(), static_cast<size_t>(std::count_if(specs.begin(), specs.end(), [](auto& spec) {
              return IsToggle(spec.second);
            })));
  const Totals now = Plan({}), off = Plan({{"enable-conntrack", "false"}}),
               on = Plan({{"enable-flow-events", "true"}});
  EXPECT_TRUE(costs.at("conntrack").on);
  EXPECT_EQ(costs.at("conntrack").map_bytes,
            static_cast<int64_t>(now.map_bytes) - static_cast<int64_t>(off.map_bytes));
  EXPECT_EQ(costs.at("conntrack").maps, static_cast<int32_t>(now.maps - off.maps));
  EXPECT_FALSE(costs.at("flow-events").on);
  EXPECT_EQ(costs.at("flow-events").instructions,
            static_cast<int64_t>(on.live_insns) - static_cast<int64_t>(now.live_insns));
  EXPECT_GT(costs.at("flow-events").map_bytes, 1 << 20) << "the ring buffer alone";
  EXPECT_EQ(costs.at("life").programs, 2) << "whatever its toggle is called";
}

TEST_F(FeatureCostTest, OfAFeatureThatIsOffIncludesWhatItNeeds) {
  const auto costs = Costs({{"enable-conntrack", "false"}});
  const FeatureCost& policy = costs.at("policy");
  EXPECT_THAT(policy.with, ElementsAre("enable-conntrack"));
  const Totals now = Plan({{"enable-conntrack", "false"}}), then = Plan({{"enable-policy", "true"}});
  EXPECT_EQ(policy.map_bytes,
            static_cast<int64_t>(then.map_bytes) - static_cast<int64_t>(now.map_bytes));
  EXPECT_THAT(costs.at("flow-events").with, IsEmpty());
}

TEST_F(FeatureCostTest, OfAFeatureThatIsOnIncludesWhatNeedsIt) {
  const auto costs = Costs({{"enable-policy", "true"}, {"policy-default-deny", "true"},
                            {"enable-load-balancer", "true"}});
  EXPECT_THAT(costs.at("conntrack").with,
              UnorderedElementsAre("enable-policy", "policy-default-deny", "enable-load-balancer"));
  EXPECT_THAT(costs.at("policy").with, ElementsAre("policy-default-deny"));
}

TEST_F(FeatureCostTest, TakesMeasuredBytesOfWhatExists) {
  const int64_t predicted = Costs({}).at("datapath-metrics").map_bytes;
  const InForce now(inputs_, {});
  const uint64_t bytes = now.plan.FindMap("metrics")->bytes;
  const auto costs = Costs({}, {{"metrics", {.bytes = bytes + 777}}});
  EXPECT_EQ(costs.at("datapath-metrics").map_bytes, predicted + 777);
}

TEST_F(FeatureCostTest, StopsWhenNobodyWaits) {
  const InForce now(inputs_, {});
  int asked = 0;
  const auto costs = FeatureCosts(inputs_, now.settings, now.plan, {}, [&] { return ++asked > 5; });
  EXPECT_TRUE(absl::IsCancelled(costs.status())) << costs.status();
}

}  // namespace
}  // namespace bonsai::plan
