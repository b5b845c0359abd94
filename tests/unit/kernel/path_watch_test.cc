// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/path_watch.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "tests/unit/settings/config_map_dir.h"

namespace bonsai::kernel {
namespace {

using testing::ConfigMapDir;
using testing::TempDir;
using testing::WriteFile;
namespace fs = std::filesystem;

bool Readable(const PathWatch& watch) {
  pollfd fd = {.fd = watch.fd(), .events = POLLIN};
  return poll(&fd, 1, 0) == 1;
}

TEST(PathWatch, SeesAChangeOnlyOnce) {
  TempDir temp;
  PathWatch watch(temp.path().string());
  EXPECT_TRUE(watch.complete());
  EXPECT_FALSE(watch.Drain());
  WriteFile(temp.path() / "key", "value");
  EXPECT_TRUE(Readable(watch));
  EXPECT_TRUE(watch.Drain());
  EXPECT_FALSE(watch.Drain());
}

TEST(PathWatch, TakesNoNoticeOfItsNeighbours) {
  TempDir temp;
  fs::create_directory(temp.path() / "config");
  PathWatch watch((temp.path() / "config").string());
  WriteFile(temp.path() / "other", "value");
  EXPECT_FALSE(watch.Drain());
}

TEST(PathWatch, TakesNoNoticeOfReading) {
  TempDir temp;
  WriteFile(temp.path() / "key", "value");
  PathWatch watch(temp.path().string());
  std::ifstream file(temp.path() / "key");
  std::string content;
  file >> content;
  file.close();
  EXPECT_EQ(content, "value");
  EXPECT_FALSE(watch.Drain());
}

// The events of the neighbour mean nothing by themselves; that they filled the queue does.
TEST(PathWatch, TakesAFullQueueForAChange) {
  TempDir temp;
  fs::create_directory(temp.path() / "config");
  PathWatch watch((temp.path() / "config").string());
  int limit = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
  ASSERT_GT(limit, 0);
  for (int i = 0; i <= limit / 2; ++i) {  // two events each, alternating: none is merged
    WriteFile(temp.path() / "other", "");
    fs::remove(temp.path() / "other");
  }
  EXPECT_TRUE(watch.Drain());
  EXPECT_FALSE(watch.Drain());
  WriteFile(temp.path() / "config" / "key", "value");
  EXPECT_TRUE(watch.Drain());
}

TEST(PathWatch, FollowsTheDataLinkToEachVersion) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap({{"key", "1"}});
  PathWatch watch(dir.path().string());
  for (int version = 2; version < 10; ++version) {
    WriteFile(dir.path() / "..data" / "key", "in place");
    EXPECT_TRUE(watch.Drain()) << version;
    dir.Swap({{"key", std::to_string(version)}});
    EXPECT_TRUE(watch.Drain()) << version;
    EXPECT_FALSE(watch.Drain()) << version;
  }
}

TEST(PathWatch, FindsWhatAppearsBelowMissingDirectories) {
  TempDir temp;
  const fs::path path = temp.path() / "a" / "b" / "config";
  PathWatch watch(path.string());
  for (const fs::path& directory : {temp.path() / "a", temp.path() / "a" / "b", path}) {
    fs::create_directory(directory);
    EXPECT_TRUE(watch.Drain()) << directory;
  }
  WriteFile(path / "key", "value");
  EXPECT_TRUE(watch.Drain());
  fs::remove_all(temp.path() / "a");
  EXPECT_TRUE(watch.Drain());
  fs::create_directories(path);
  EXPECT_TRUE(watch.Drain());
  WriteFile(path / "key", "value");
  EXPECT_TRUE(watch.Drain());
}

TEST(PathWatch, TakesRelativePathsAndTrailingSlashes) {
  TempDir temp;
  fs::create_directory(temp.path() / "config");
  const std::string path = (temp.path() / "config").string();
  for (const std::string& spelling : {path + "/", path + "/.", path + "//",
                                      fs::relative(path).string()}) {
    PathWatch watch(spelling);
    WriteFile(path + "/key", spelling);
    EXPECT_TRUE(watch.Drain()) << spelling;
    fs::remove_all(path);
    EXPECT_TRUE(watch.Drain()) << spelling;
    fs::create_directory(path);
    EXPECT_TRUE(watch.Drain()) << spelling;
  }
}

}  // namespace
}  // namespace bonsai::kernel
