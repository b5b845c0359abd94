// SPDX-License-Identifier: Apache-2.0
// Generated sequences of instructions: nothing the kernel keeps is called dead, and little of what
// it drops is called live.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/differential/environment.h"
#include "tests/differential/insn_runner.h"

namespace bonsai::differential {
namespace {

// Unless the environment says otherwise; see environment.h.
constexpr uint64_t kFirstSeed = 1, kRounds = 3000, kShrunk = 5;
// Of the slots called live: what the kernel drops because it walks each path by itself.
constexpr double kMostMissed = 0.005;

TEST(GeneratedInsns, AgreeWithTheKernel) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
  const auto runner = InsnRunner::Create();
  ASSERT_TRUE(runner.ok()) << runner.status();
  const uint64_t first = FromEnvironment("BONSAI_DIFFERENTIAL_SEED", kFirstSeed);
  const uint64_t rounds = FromEnvironment("BONSAI_DIFFERENTIAL_ROUNDS", kRounds);
  uint64_t to_shrink = FromEnvironment("BONSAI_DIFFERENTIAL_SHRINK", kShrunk);
  Comparison all;
  int unsound = 0, missed = 0;
  std::map<std::string, int> refusals;
  for (uint64_t seed = first; seed < first + rounds; ++seed) {
    Random random(seed);
    const InsnCase made = GenerateInsns(random);
    Comparison comparison;
    const absl::Status status = runner->Run(made, comparison);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status;
    all.counts += comparison.counts;
    for (const std::string& refusal : comparison.refusals) ++refusals[refusal];
    const bool is_unsound = comparison.counts.slots_cut != 0;
    unsound += is_unsound;
    missed += comparison.counts.slots_missed != 0;
    if (!is_unsound && (comparison.counts.slots_missed == 0 || !WantsFindings())) continue;
    std::string text = "seed " + std::to_string(seed) + "\n";
    text += to_shrink > 0 ? runner->Reproduce(made, is_unsound) : Describe(comparison.differences);
    if (is_unsound) ADD_FAILURE() << text;
    if (to_shrink == 0) continue;
    --to_shrink;
    KeepFinding((is_unsound ? "unsound-insns-" : "missed-insns-") + std::to_string(seed) + ".txt",
                text);
  }
  std::printf("%llu cases, %d unsound, %d missed something\n%s\n",
              static_cast<unsigned long long>(rounds), unsound, missed, all.counts.Text().c_str());
  if (std::getenv("BONSAI_DIFFERENTIAL_REFUSALS") != nullptr) {
    for (const auto& [reason, times] : refusals)
      std::printf("%d times %s\n", times, reason.c_str());
  }
  EXPECT_LT(all.counts.refused * 10, all.counts.programs);
  EXPECT_LT(all.counts.MissedShare(), kMostMissed);
  EXPECT_GT(all.counts.slots_dropped, 0);
}

}  // namespace
}  // namespace bonsai::differential
