// SPDX-License-Identifier: Apache-2.0
// Generated C programs: what the engine calls dead the kernel drops, and the other way round.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/differential/c_runner.h"
#include "tests/differential/environment.h"

namespace bonsai::differential {
namespace {

// Unless the environment says otherwise; see environment.h.
constexpr uint64_t kFirstSeed = 1, kRounds = 150, kShrunk = 5;
// What the kernel drops because it walks each path by itself: of the maps it drops, and of the
// slots called live.
constexpr double kMostMapsMissed = 0.01, kMostSlotsMissed = 0.005;

struct Tally {
  Counts counts;
  int sources = 0, not_compiled = 0, unsound = 0, missed = 0;
  uint64_t shrunk = 0;
  std::vector<std::string> refusals;
};

class GeneratedC : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
    ASSERT_FALSE(workspace_.path().empty());
  }

  // One source with a few settings of its constants.
  void Run(uint64_t seed, Tally& tally) {
    Random random(seed);
    const std::vector<Variant> variants = AllVariants();
    CCase source = GenerateC(random, random.Of(variants));
    ++tally.sources;
    const auto object = Compile(workspace_, source.Text(), source.variant);
    if (!object.ok()) {
      ++tally.not_compiled;
      tally.refusals.push_back(std::string(object.status().message()));
      return;
    }
    for (int setting = 0; setting < 3; ++setting) {
      constants::ConstantSet constants = constants::Defaults(*object);
      if (setting > 0) Vary(random, *object, constants, source);
      Comparison comparison;
      const absl::Status status = CompareObject(*object, constants, comparison);
      ASSERT_TRUE(status.ok()) << status;
      tally.counts += comparison.counts;
      for (auto& refusal : comparison.refusals) tally.refusals.push_back(std::move(refusal));
      if (!comparison.differences.empty()) {
        Report(seed, setting, source, comparison.differences, tally);
        break;
      }
    }
  }

  // Other values for some constants, in the object and in the source alike.
  void Vary(Random& random, const object::ObjectSpec& object, constants::ConstantSet& constants,
            CCase& source) {
    for (CaseConstant& constant : source.constants) {
      if (random.Percent(40)) {
        const bool small = constant.name == "c_mode" || constant.name == "c_limit";
        constant.value = constant.type == "bool" ? random.Below(2)
                         : small ? random.Below(8) : random.Nasty();
      }
      const object::Constant* found = object.FindConstant(constant.name);
      if (found == nullptr) continue;  // nothing reads it
      std::vector<uint8_t>& bytes = constants.sections.at(found->section);
      for (uint32_t i = 0; i < found->size; ++i) {
        bytes.at(found->offset + i) = static_cast<uint8_t>(constant.value >> (8 * i));
      }
    }
  }

  void Report(uint64_t seed, int setting, const CCase& source,
              const std::vector<Difference>& differences, Tally& tally) {
    const Difference* worst = &differences.front();
    for (const Difference& difference : differences) {
      if (difference.unsound && !worst->unsound) worst = &difference;
    }
    int& number = worst->unsound ? tally.unsound : tally.missed;
    ++number;
    if (!worst->unsound && !WantsFindings()) return;  // judged by their number
    const bool shrunk = tally.shrunk++ < FromEnvironment("BONSAI_DIFFERENTIAL_SHRINK", kShrunk);
    const std::string text = shrunk ? Reproduce(workspace_, source, *worst)
                                    : Describe({*worst}) + source.variant.Text() + "\n";
    if (worst->unsound) ADD_FAILURE() << "seed " << seed << ", setting " << setting << "\n" << text;
    if (!shrunk) return;
    KeepFinding((worst->unsound ? "unsound-c-" : "missed-c-") + std::to_string(seed) + ".bpf.c",
                text);
  }

  Workspace workspace_;
};

TEST_F(GeneratedC, AgreesWithTheKernel) {
  const uint64_t first = FromEnvironment("BONSAI_DIFFERENTIAL_SEED", kFirstSeed);
  const uint64_t rounds = FromEnvironment("BONSAI_DIFFERENTIAL_ROUNDS", kRounds);
  Tally tally;
  for (uint64_t seed = first; seed < first + rounds; ++seed) {
    Run(seed, tally);
    if (HasFatalFailure()) return;
  }
  std::printf("%d sources, %d did not compile, %d unsound, %d missed\n%s\n", tally.sources,
              tally.not_compiled, tally.unsound, tally.missed, tally.counts.Text().c_str());
  if (std::getenv("BONSAI_DIFFERENTIAL_REFUSALS") != nullptr) {
    for (const std::string& refusal : tally.refusals) std::printf("%s\n", refusal.c_str());
  }
  EXPECT_EQ(tally.not_compiled, 0);
  EXPECT_LT(tally.counts.refused * 5, tally.counts.programs);
  const auto missed = static_cast<double>(tally.counts.maps_missed);
  EXPECT_LT(missed, kMostMapsMissed * (missed + static_cast<double>(tally.counts.maps_dropped)));
  EXPECT_LT(tally.counts.MissedShare(), kMostSlotsMissed);
}

}  // namespace
}  // namespace bonsai::differential
