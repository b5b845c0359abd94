// SPDX-License-Identifier: Apache-2.0
// What pruning is worth against loading all there is, by CPU time, which a busy machine hardly
// moves. How fast a change takes effect: tests/bench/README.md.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "tests/bench/load_ways.h"

namespace bonsai::bench {
namespace {

constexpr int kRuns = 5;

class Loads : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
    auto made = Loading::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    loading_ = *std::move(made);
  }

  struct Pair {
    double pruned = 1e9, other = 1e9;
  };
  // The best of some runs, taken in turns: noise only ever adds.
  Pair Compare(const Row& row, Way other) {
    Pair best;
    for (int run = 0; run < kRuns; ++run) {
      auto pruned = loading_->Measure(row.raw, Way::kPruned);
      auto all = loading_->Measure(row.raw, other);
      EXPECT_TRUE(pruned.ok() && all.ok()) << pruned.status() << all.status();
      if (!pruned.ok() || !all.ok()) break;
      best.pruned = std::min(best.pruned, pruned->cpu);
      best.other = std::min(best.other, all->cpu);
    }
    return best;
  }

  std::optional<Loading> loading_;
};

TEST_F(Loads, PrunedAtLeastTwiceAsFastWithMinimalSettings) {
  const Pair cost = Compare(Rows()[0], Way::kEverything);
  EXPECT_GT(cost.other / cost.pruned, 2) << cost.pruned * 1e3 << " ms against " << cost.other * 1e3;
}

// Analysis included. Both verify the same code; what is not noise is the engine's share.
TEST_F(Loads, PrunedNotSlowerWithEverythingOn) {
  const Pair cost = Compare(Rows()[2], Way::kEverything);
  EXPECT_LT(cost.pruned / cost.other, 1.1) << cost.pruned * 1e3 << " ms against " << cost.other * 1e3;
}

TEST_F(Loads, PrunedFasterThanLoadingTwice) {
  for (const Row& row : Rows()) {
    const Pair cost = Compare(row, Way::kTwice);
    EXPECT_GT(cost.other / cost.pruned, 1.4) << row.name;
  }
}

}  // namespace
}  // namespace bonsai::bench
