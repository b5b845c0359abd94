// SPDX-License-Identifier: Apache-2.0
// Bounds so wide that only a mistake goes beyond them: how fast it is says tests/bench/README.md.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "tests/bench/measure.h"

namespace bonsai::bench {
namespace {

constexpr int kRuns = 5;
constexpr size_t kMaxPeakBytes = 64 << 20;

Subject Read(const std::string& name) {
  auto subject = ReadSubject(std::string(BENCH_DIR) + "/" + name + ".bpf.o");
  EXPECT_TRUE(subject.ok()) << subject.status();
  return subject.ok() ? *std::move(subject) : Subject{};
}

// The best of some runs: noise only ever adds.
template <typename Measure>
double Best(Measure measure) {
  double best = 1e9;
  for (int run = 0; run < kRuns; ++run) {
    const absl::StatusOr<double> seconds = measure();
    EXPECT_TRUE(seconds.ok()) << seconds.status();
    if (!seconds.ok()) return 0;
    best = std::min(best, *seconds);
  }
  return best;
}

// Of all threads: how many ran at once is a matter of what else this machine does.
double VerdictCpuSeconds(const Subject& subject) {
  return Best([&]() -> absl::StatusOr<double> {
    const absl::StatusOr<Seconds> seconds = VerdictSeconds(subject, Switches::kOn);
    if (!seconds.ok()) return seconds.status();
    return seconds->cpu;
  });
}

double NanosecondsASlot(const Subject& subject) {
  const double seconds = VerdictCpuSeconds(subject);
  return seconds * 1e9 / static_cast<double>(subject.slots);
}

class Shape : public ::testing::TestWithParam<std::string> {};

TEST_P(Shape, TakesTimeInProportionToItsSize) {
  const Subject small = Read(GetParam() + "-60000"), large = Read(GetParam() + "-1000000");
  ASSERT_NEAR(static_cast<double>(large.slots), 1e6, 6e4);
  const double before = NanosecondsASlot(small), after = NanosecondsASlot(large);
  RecordProperty("ns_a_slot", std::to_string(before) + " to " + std::to_string(after));
  EXPECT_LT(after / before, 3) << before << " ns a slot of 60 thousand, " << after
                               << " of a million";
}

INSTANTIATE_TEST_SUITE_P(Of, Shape, ::testing::Values("wide", "long"),
                         [](const auto& info) { return info.param; });

TEST(Verdict, TakesLittleBesideTheKernelsLoad) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
  const Subject subject = Read("big60k");
  const double kernel = Best([&] { return KernelLoadSeconds(subject, Switches::kOn); });
  const double ours = VerdictCpuSeconds(subject);
  EXPECT_LT(ours / kernel, 0.05) << ours * 1e3 << " ms beside " << kernel * 1e3;
}

class Peak : public ::testing::TestWithParam<std::string> {};

TEST_P(Peak, StaysUnder64Megabytes) {
  const Subject subject = Read(GetParam());
  for (const Switches switches : {Switches::kDefault, Switches::kOn}) {
    const absl::StatusOr<size_t> peak = VerdictPeakBytes(subject, switches);
    ASSERT_TRUE(peak.ok()) << peak.status();
    EXPECT_GT(*peak, subject.slots * sizeof(object::Insn));  // something was measured
    EXPECT_LT(*peak, kMaxPeakBytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Peak, ::testing::Values("big60k", "big60k-300maps"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bonsai::bench
