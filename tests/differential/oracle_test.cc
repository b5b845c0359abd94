// SPDX-License-Identifier: Apache-2.0
// The oracle itself: what the line records say was kept is what the verifier says it walked.
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>

#include "tests/differential/oracle.h"

namespace bonsai::differential {
namespace {

class Oracle : public ::testing::TestWithParam<std::string> {};

TEST_P(Oracle, KeepsExactlyWhatTheVerifierWalked) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
  const auto object = object::Read(GetParam());
  ASSERT_TRUE(object.ok()) << object.status();
  const auto programs = LoadAndRead(*object, constants::Defaults(*object), {.log_visits = true});
  ASSERT_TRUE(programs.ok()) << programs.status();
  int kept = 0, dropped = 0, unclear = 0;
  for (const auto& [name, program] : *programs) {
    ASSERT_TRUE(program.loaded) << name << ReasonOf(program.log);
    for (const auto& [function, fates] : program.code) {
      const object::Insns& insns = object->functions[function].insns;
      const std::vector<bool>& visited = program.visited.at(function);
      for (size_t slot = 0; slot < fates.size(); ++slot) {
        if (insns[slot].opcode == 0) continue;  // the second half of a 16-byte instruction
        unclear += fates[slot] == Fate::kUnclear;
        if (fates[slot] == Fate::kUnclear) continue;
        (visited[slot] ? kept : dropped) += 1;
        EXPECT_EQ(fates[slot] == Fate::kKept, visited[slot])
            << name << " " << object->functions[function].name << " slot " << slot;
      }
    }
  }
  std::printf("%s: kept %d, dropped %d, unclear %d\n", GetParam().c_str(), kept, dropped, unclear);
  EXPECT_GT(kept, 100);
  EXPECT_GT(dropped, 10);
  EXPECT_LT(unclear * 20, kept + dropped);
}

std::vector<std::string> Objects() {
  std::vector<std::string> objects = {std::string(BONSAI_BPF_DIR) + "/from_netdev.bpf.o"};
  std::stringstream list(TEST_BPF_VARIANTS);
  for (std::string variant; std::getline(list, variant, ',');) {
    objects.push_back(std::string(TEST_BPF_DIR) + "/uses." + variant + ".o");
  }
  return objects;
}

INSTANTIATE_TEST_SUITE_P(Objects, Oracle, ::testing::ValuesIn(Objects()));

}  // namespace
}  // namespace bonsai::differential
