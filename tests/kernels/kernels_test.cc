// SPDX-License-Identifier: Apache-2.0
// The loader on Debian's own kernels, booted here: every row of settings, dead functions, retries.
// What the verifier walked for each program is recorded in kernels-<series>.csv of the build.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <utility>

#include "tests/kernels/machine.h"

namespace bonsai::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kBin = BONSAI_BIN_DIR;
constexpr int kTimeoutSeconds = 290;
// The timer on that kernel; boards that an emulated machine computes in seconds.
constexpr char kLife[] =
    " --gtest_filter=Life.GliderComesBack*:Life.EachGeneration*:Life.NothingIsReached*:"
    "Boards/*.*/1x7:Boards/*.*/31x8";
// Half of what a kernel walks before it gives up.
constexpr unsigned long kMostInstructions = 500'000;

void AddObjects(const fs::path& folder, MemoryDisk& disk) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".o") disk.AddFile(entry.path(), entry.path());
  }
}

// Numbers of a gtest summary: "[  PASSED  ] 7 tests.".
unsigned Passed(const std::string& console) {
  unsigned passed = 0;
  const std::regex summary(R"(\[  PASSED  \] (\d+) test)");
  for (std::sregex_iterator at(console.begin(), console.end(), summary), end; at != end; ++at) {
    passed += static_cast<unsigned>(std::stoul((*at)[1]));
  }
  return passed;
}

// The most a verifier walked for a program over all rows.
using Verified = std::map<std::string, std::pair<unsigned long, std::string>>;  // by program

// Reads the lines "VERIFIED <row>: <program> <instructions>" and takes them out of `console`.
Verified TakeVerified(std::string& console) {
  Verified most;
  std::istringstream lines(std::exchange(console, ""));
  const std::regex verified(R"(VERIFIED (.*): (\S+/\S+) (\d+)\s*)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, verified)) {
      console += line + "\n";
      continue;
    }
    auto& entry = most[match[2]];
    entry = std::max(entry, {std::stoul(match[3]), match[1].str()});
  }
  return most;
}

void Record(const std::string& series, const Verified& verified) {
  std::ofstream file(fs::path(BONSAI_RECORD_DIR) / ("kernels-" + series + ".csv"));
  file << "program,verified_instructions,row\n";
  for (const auto& [program, most] : verified) {
    file << program << "," << most.first << "," << most.second << "\n";
    EXPECT_LT(most.first, kMostInstructions) << program << " with " << most.second;
  }
  EXPECT_TRUE(file.good());
}

class Kernel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    kernel_ = fs::path(BONSAI_KERNELS_DIR) / GetParam() / "vmlinuz";
    if (!fs::exists(kernel_)) {
      GTEST_SKIP() << "SKIPPED: no kernel " << GetParam() << ": run tests/kernels/fetch.sh";
    }
    if (std::system("command -v qemu-system-x86_64 > /dev/null") != 0) {
      GTEST_SKIP() << "SKIPPED: no qemu-system-x86_64: run deploy/install-deps.sh test";
    }
  }
  fs::path kernel_;
};

TEST_P(Kernel, LoadsEveryRowAndNeutralisesWithoutARetry) {
  MemoryDisk disk;
  disk.AddFile(kBin / "kernels_init", "/init");
  std::vector<std::string> commands;
  for (const char* name : {"kernels_rows", "kernels_functions", "integration_load_test",
                           "integration_neutralise_test"}) {
    disk.AddProgram(kBin / name);
    commands.push_back((kBin / name).string() + " --gtest_brief=1 --gtest_color=no");
  }
  disk.AddProgram(kBin / "datapath_life");
  commands.push_back((kBin / "datapath_life").string() + " --gtest_brief=1 --gtest_color=no" + kLife);
  AddObjects(BONSAI_BPF_DIR, disk);
  AddObjects(BONSAI_TEST_BPF_DIR, disk);
  BootResult boot = Boot(kernel_, std::move(disk), commands, kTimeoutSeconds);
  const Verified verified = TakeVerified(boot.console);
  Record(GetParam(), verified);
  std::printf("kernel %s: %.1f s\n%s\n", boot.release.c_str(), boot.seconds, boot.console.c_str());
  EXPECT_EQ(boot.release.rfind(std::string(GetParam()) + ".", 0), 0u) << boot.release;
  EXPECT_TRUE(boot.done);
  for (const std::string& command : commands) {
    ASSERT_TRUE(boot.exit_codes.contains(command)) << command;
    EXPECT_EQ(boot.exit_codes.at(command), 0) << command;
  }
  EXPECT_EQ(boot.console.find("SKIPPED"), std::string::npos);
  EXPECT_GT(Passed(boot.console), 20u);
  EXPECT_TRUE(verified.contains("from_pod/from_pod"));
  EXPECT_TRUE(verified.contains("xdp/xdp_prefilter"));
  EXPECT_TRUE(verified.contains("life/life_start"));
}

INSTANTIATE_TEST_SUITE_P(Debian, Kernel, ::testing::Values("6.1", "6.12"), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return "Kernel" + name;
});

}  // namespace
}  // namespace bonsai::testing
