// SPDX-License-Identifier: Apache-2.0
// Sources that were wrong once: each file of regress/, with every compiler at hand. With
// BONSAI_DIFFERENTIAL_FILES also those of another directory, e.g. what generated_test found.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/differential/c_runner.h"

namespace bonsai::differential {
namespace {

class Regress : public ::testing::TestWithParam<std::string> {};

TEST_P(Regress, AgreesWithTheKernel) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
  std::ifstream file(GetParam());
  const std::string source{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(source.empty());
  const Workspace workspace;
  Counts counts;
  int compiled = 0;
  for (const Variant& variant : AllVariants()) {
    const auto object = Compile(workspace, source, variant);
    if (!object.ok()) continue;  // fetches atomically, which v2 cannot
    ++compiled;
    Comparison comparison;
    const absl::Status status = CompareObject(*object, constants::Defaults(*object), comparison);
    ASSERT_TRUE(status.ok()) << variant.Text() << ": " << status;
    EXPECT_EQ(Describe(comparison.differences), "") << variant.Text();
    counts += comparison.counts;
  }
  EXPECT_GT(compiled, 0);
  EXPECT_GT(counts.programs, counts.refused);
  std::printf("%d variants; %s\n", compiled, counts.Text().c_str());
}

std::vector<std::string> Files() {
  std::vector<std::string> files;
  const char* more = std::getenv("BONSAI_DIFFERENTIAL_FILES");
  for (const std::string& directory : {std::string(REGRESS_DIR), std::string(more ? more : "")}) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      const std::string path = entry.path().string();
      if (path.size() > 6 && path.substr(path.size() - 6) == ".bpf.c") files.push_back(path);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Files, Regress, ::testing::ValuesIn(Files()), [](const auto& info) {
  std::string name = std::filesystem::path(info.param).filename();
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace bonsai::differential
