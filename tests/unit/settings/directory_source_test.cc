// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "agent/base/status.h"
#include "agent/settings/settings_source.h"
#include "tests/unit/settings/config_map_dir.h"

namespace bonsai::settings {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::ConfigMapDir;
using testing::TempDir;
using testing::WriteFile;
namespace fs = std::filesystem;

RawSettings MustRead(const fs::path& path) {
  auto raw = ReadDirectory(path.string());
  if (!raw.ok()) ADD_FAILURE() << raw.status();
  return raw.ok() ? *std::move(raw) : RawSettings();
}

TEST(ReadDirectory, ReadsAProjectedConfigMap) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap({{"enable-ipv6", "true\n"}, {"log-level", "info"}});
  EXPECT_THAT(MustRead(dir.path()),
              ElementsAre(Pair("enable-ipv6", "true"), Pair("log-level", "info")));
  dir.Swap({{"enable-ipv6", "false"}});
  EXPECT_THAT(MustRead(dir.path()), ElementsAre(Pair("enable-ipv6", "false")));
  dir.Swap({});
  EXPECT_TRUE(MustRead(dir.path()).empty());
}

TEST(ReadDirectory, ReadsPlainFilesAndLeavesHiddenOnesOut) {
  TempDir temp;
  WriteFile(temp.path() / "enable-ipv6", "true\r\n");
  WriteFile(temp.path() / "list", "a\nb\n\n");
  WriteFile(temp.path() / ".enable-ipv6.swp", "garbage");
  EXPECT_THAT(MustRead(temp.path()), ElementsAre(Pair("enable-ipv6", "true"), Pair("list", "a\nb")));
}

TEST(ReadDirectory, FollowsALinkToTheDirectory) {
  TempDir temp;
  fs::create_directory(temp.path() / "real");
  WriteFile(temp.path() / "real" / "log-level", "debug");
  fs::create_directory_symlink("real", temp.path() / "link");
  EXPECT_THAT(MustRead(temp.path() / "link"), ElementsAre(Pair("log-level", "debug")));
}

TEST(ReadDirectory, SeesAWriteInPlaceIntoAProjectedConfigMap) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap({{"log-level", "info"}});
  WriteFile(dir.path() / "log-level", "debug");
  EXPECT_THAT(MustRead(dir.path()), ElementsAre(Pair("log-level", "debug")));
}

void ExpectError(const fs::path& path, absl::StatusCode code, const std::string& part) {
  const auto raw = ReadDirectory(path.string());
  EXPECT_EQ(raw.status().code(), code) << raw.status();
  EXPECT_THAT(base::Message(raw.status()), HasSubstr(part));
}

TEST(ReadDirectory, NamesWhatCannotBeRead) {
  TempDir temp;
  const fs::path missing = temp.path() / "missing";
  ExpectError(missing, absl::StatusCode::kNotFound, missing.string() + ": No such file");
  WriteFile(temp.path() / "file", "x");
  ExpectError(temp.path() / "file", absl::StatusCode::kInvalidArgument, "not a directory");
}

TEST(ReadDirectory, RefusesAnEmptyPlainDirectory) {
  TempDir temp;
  ExpectError(temp.path(), absl::StatusCode::kFailedPrecondition, "it is empty");
}

TEST(ReadDirectory, RefusesWhatIsNotARegularFile) {
  TempDir temp;
  fs::create_directory(temp.path() / "sub");
  ExpectError(temp.path(), absl::StatusCode::kInvalidArgument, "/sub: not a regular file");
  fs::remove(temp.path() / "sub");
  ASSERT_EQ(mkfifo((temp.path() / "pipe").c_str(), 0600), 0);
  ExpectError(temp.path(), absl::StatusCode::kInvalidArgument, "/pipe: not a regular file");
}

TEST(ReadDirectory, RefusesAFileThatIsTooLarge) {
  TempDir temp;
  WriteFile(temp.path() / "fits", std::string(1 << 20, 'x'));
  EXPECT_EQ(MustRead(temp.path()).at("fits").size(), size_t{1} << 20);
  WriteFile(temp.path() / "large", std::string((1 << 20) + 1, 'x'));
  ExpectError(temp.path(), absl::StatusCode::kInvalidArgument, "/large: larger than 1048576 bytes");
}

TEST(ReadDirectory, RefusesADanglingDataLinkOrKey) {
  TempDir temp;
  fs::create_symlink("nowhere", temp.path() / "key");
  ExpectError(temp.path(), absl::StatusCode::kNotFound, "/key");
  fs::create_symlink("gone", temp.path() / "..data");
  ExpectError(temp.path(), absl::StatusCode::kUnavailable, "..data link points nowhere");
}

constexpr int kKeys = 12;

ConfigMapDir::Keys Generation(int generation) {
  ConfigMapDir::Keys keys;
  for (int i = 0; i < kKeys; ++i) keys["key-" + std::to_string(i)] = std::to_string(generation);
  return keys;
}

// The generation of a snapshot; fails the test when it is mixed or not whole.
int WholeGeneration(const RawSettings& raw) {
  EXPECT_EQ(raw.size(), static_cast<size_t>(kKeys));
  if (raw.empty()) return -1;
  for (const auto& [key, value] : raw) EXPECT_EQ(value, raw.begin()->second) << key;
  return std::stoi(raw.begin()->second);
}

TEST(ReadDirectory, NeverMixesVersionsWhileTheyAreSwapped) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap(Generation(0));
  constexpr int kSwaps = 2000;
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    for (int generation = 1; generation <= kSwaps; ++generation) dir.Swap(Generation(generation));
    done = true;
  });
  int reads = 0, last = 0;
  while (!done && !HasFailure()) {
    const auto raw = ReadDirectory(dir.path().string());
    if (!raw.ok()) {
      EXPECT_EQ(raw.status().code(), absl::StatusCode::kUnavailable) << raw.status();
      continue;
    }
    const int generation = WholeGeneration(*raw);
    EXPECT_GE(generation, last);
    last = generation;
    ++reads;
  }
  writer.join();
  EXPECT_GT(reads, 10);
  EXPECT_EQ(WholeGeneration(MustRead(dir.path())), kSwaps);
}

TEST(ReadDirectory, NeverTakesADirectoryBeingDeletedForASmallerOne) {
  TempDir temp;
  const fs::path path = temp.path() / "config";
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    for (int round = 0; round < 300; ++round) {
      ConfigMapDir dir(path);
      dir.Swap(Generation(round));
      std::this_thread::sleep_for(std::chrono::microseconds(round * 89 % 14000));
      fs::remove_all(path);
    }
    done = true;
  });
  int reads = 0;
  while (!done && !HasFailure()) {
    const auto raw = ReadDirectory(path.string());
    if (!raw.ok()) continue;
    WholeGeneration(*raw);
    ++reads;
  }
  EXPECT_GT(reads, 10);
}

TEST(ReadDirectory, NeverTakesATruncatedFileForAnEmptyValue) {
  TempDir temp;
  WriteFile(temp.path() / "list", "0");
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    for (int round = 0; round < 20; ++round) {
      for (int burst = 0; burst < 50; ++burst) WriteFile(temp.path() / "list", "full");
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
    }
    done = true;
  });
  int reads = 0;
  while (!done && !HasFailure()) {
    const auto raw = ReadDirectory(temp.path().string());
    if (!raw.ok()) continue;
    EXPECT_FALSE(raw->at("list").empty());
    ++reads;
  }
  EXPECT_GT(reads, 10);
}

TEST(ReadDirectory, TakesAnEmptyFileThatStaysEmpty) {
  TempDir temp;
  WriteFile(temp.path() / "metrics-address", "");
  EXPECT_THAT(MustRead(temp.path()), ElementsAre(Pair("metrics-address", "")));
}

}  // namespace
}  // namespace bonsai::settings
