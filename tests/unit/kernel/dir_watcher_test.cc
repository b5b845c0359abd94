// SPDX-License-Identifier: Apache-2.0
// Each test changes a path and wants to be called after the last change. The slow poll is switched
// off (an hour), so that what is seen is seen by inotify.
#include "agent/kernel/dir_watcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "tests/unit/kernel/call_counter.h"
#include "tests/unit/settings/config_map_dir.h"

namespace bonsai::kernel {
namespace {

using std::chrono::milliseconds;
using testing::CallCounter;
using testing::ConfigMapDir;
using testing::TempDir;
using testing::WriteFile;
namespace fs = std::filesystem;

constexpr WatchTiming kNoPoll = {.settle = milliseconds(5), .longest = milliseconds(100),
                                 .poll = std::chrono::hours(1)};

std::string Content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Reads a file whenever the watcher calls, as the agent does.
class Follower {
 public:
  Follower(const fs::path& watched, fs::path file, WatchTiming timing = kNoPoll)
      : file_(std::move(file)) {
    auto started = DirWatcher::Start(watched.string(), [this] { Read(); }, timing);
    if (!started.ok()) ADD_FAILURE() << started.status();
    if (started.ok()) watcher_ = *std::move(started);
  }
  // True once the last thing read was `content`.
  bool Sees(const std::string& content) {
    std::unique_lock lock(mutex_);
    return read_.wait_for(lock, std::chrono::seconds(10), [&] { return last_ == content; });
  }
  bool has_inotify() const { return watcher_->has_inotify(); }

 private:
  void Read() {
    std::string content = Content(file_);
    std::lock_guard lock(mutex_);
    last_ = std::move(content);
    read_.notify_all();
  }

  fs::path file_;
  std::mutex mutex_;
  std::condition_variable read_;
  std::string last_ = "nothing";
  std::unique_ptr<DirWatcher> watcher_;  // last: ends first
};

// Quiet is waited for so long that only what is complete is reported.
constexpr WatchTiming kOnlyWhole = {.settle = std::chrono::hours(1), .brief = milliseconds(1),
                                    .longest = std::chrono::hours(1), .poll = std::chrono::hours(1)};

TEST(DirWatcher, ReportsASwapOfAConfigMapWithoutWaitingForQuiet) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap({{"key", "0"}});
  Follower follower(dir.path(), dir.path() / "key", kOnlyWhole);
  for (const char* value : {"1", "2", "3"}) {
    dir.Swap({{"key", value}});
    EXPECT_TRUE(follower.Sees(value));
  }
  Follower other(dir.path(), dir.path() / "more", kOnlyWhole);
  dir.Swap({{"key", "4"}, {"more", "x"}});
  EXPECT_TRUE(other.Sees("x")) << "a new key's link is no file that is being written";
}

TEST(DirWatcher, WaitsForAFileToBeClosed) {
  TempDir temp;
  CallCounter counter;
  auto watcher = DirWatcher::Start(temp.path().string(), counter.Callback(), kOnlyWhole);
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  {
    std::ofstream file(temp.path() / "half");
    file << "first" << std::flush;
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_EQ(counter.calls(), 0);
    file << "second" << std::flush;
  }
  EXPECT_TRUE(counter.WaitForMoreThan(0));
}

TEST(DirWatcher, SeesSwapsOfAConfigMap) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap({{"key", "0"}});
  Follower follower(dir.path(), dir.path() / "key");
  EXPECT_TRUE(follower.has_inotify());
  for (const char* value : {"1", "2", "3"}) {
    dir.Swap({{"key", value}});
    EXPECT_TRUE(follower.Sees(value));
  }
}

TEST(DirWatcher, SeesTheLastOfManySwaps) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap({{"key", "0"}});
  Follower follower(dir.path(), dir.path() / "key");
  for (int i = 1; i <= 2000; ++i) dir.Swap({{"key", std::to_string(i)}});
  EXPECT_TRUE(follower.Sees("2000"));
}

TEST(DirWatcher, SeesWritesInPlace) {
  TempDir temp;
  WriteFile(temp.path() / "key", "0");
  Follower follower(temp.path(), temp.path() / "key");
  WriteFile(temp.path() / "key", "1");
  EXPECT_TRUE(follower.Sees("1"));
  fs::remove(temp.path() / "key");
  EXPECT_TRUE(follower.Sees(""));
  WriteFile(temp.path() / "key", "2");
  EXPECT_TRUE(follower.Sees("2"));
}

TEST(DirWatcher, SurvivesRemovalAndRecreationOfTheDirectory) {
  TempDir temp;
  const fs::path path = temp.path() / "config";
  Follower follower(path, path / "key");  // not there yet
  for (const char* value : {"1", "2", "3"}) {
    ConfigMapDir dir(path);
    dir.Swap({{"key", value}});
    EXPECT_TRUE(follower.Sees(value));
    fs::remove_all(path);
    EXPECT_TRUE(follower.Sees(""));
  }
}

TEST(DirWatcher, SurvivesRemovalAndRecreationOfTheDirectoriesAbove) {
  TempDir temp;
  const fs::path path = temp.path() / "a" / "b" / "config";
  Follower follower(path, path / "key");
  for (const char* value : {"1", "2", "3"}) {
    ConfigMapDir dir(path);
    dir.Swap({{"key", value}});
    EXPECT_TRUE(follower.Sees(value));
    fs::remove_all(temp.path() / "a");
    EXPECT_TRUE(follower.Sees(""));
  }
}

TEST(DirWatcher, SurvivesRecreationsInQuickSuccession) {
  TempDir temp;
  const fs::path path = temp.path() / "a" / "config";
  Follower follower(path, path / "key");
  for (int i = 0; i <= 500; ++i) {
    fs::remove_all(i % 2 == 0 ? path : path.parent_path());
    ConfigMapDir(path).Swap({{"key", std::to_string(i)}});
  }
  EXPECT_TRUE(follower.Sees("500"));
}

TEST(DirWatcher, SeesTheDirectoryReplacedByRename) {
  TempDir temp;
  const fs::path path = temp.path() / "config";
  fs::create_directory(path);
  Follower follower(path, path / "key");
  fs::create_directory(temp.path() / "next");
  WriteFile(temp.path() / "next" / "key", "1");
  fs::rename(path, temp.path() / "before");
  fs::rename(temp.path() / "next", path);
  EXPECT_TRUE(follower.Sees("1"));
  WriteFile(path / "key", "2");
  EXPECT_TRUE(follower.Sees("2"));
}

TEST(DirWatcher, FollowsALinkThatMoves) {
  TempDir temp;
  for (const char* name : {"one", "two"}) {
    fs::create_directory(temp.path() / name);
    WriteFile(temp.path() / name / "key", name);
  }
  const fs::path link = temp.path() / "config";
  fs::create_directory_symlink("one", link);
  Follower follower(link, link / "key");
  fs::create_directory_symlink("two", temp.path() / "next");
  fs::rename(temp.path() / "next", link);
  EXPECT_TRUE(follower.Sees("two"));
  WriteFile(temp.path() / "two" / "key", "three");
  EXPECT_TRUE(follower.Sees("three"));
}

TEST(DirWatcher, WatchesASingleFile) {
  TempDir temp;
  const fs::path file = temp.path() / "bonsai.yaml";
  Follower follower(file, file);
  WriteFile(file, "1");
  EXPECT_TRUE(follower.Sees("1"));
  WriteFile(temp.path() / "new", "2");  // as editors save
  fs::rename(temp.path() / "new", file);
  EXPECT_TRUE(follower.Sees("2"));
  WriteFile(file, "3");
  EXPECT_TRUE(follower.Sees("3"));
  fs::remove(file);
  EXPECT_TRUE(follower.Sees(""));
}

TEST(DirWatcher, WatchesASingleKeyOfAConfigMap) {
  TempDir temp;
  ConfigMapDir dir(temp.path() / "config");
  dir.Swap({{"bonsai.yaml", "0"}});
  Follower follower(dir.path() / "bonsai.yaml", dir.path() / "bonsai.yaml");
  for (const char* value : {"1", "2", "3"}) {
    dir.Swap({{"bonsai.yaml", value}});
    EXPECT_TRUE(follower.Sees(value));
  }
}

TEST(DirWatcher, SeesWhatChangedWhileTheQueueWasFull) {
  TempDir temp;
  int limit = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
  ASSERT_GT(limit, 0);
  std::atomic<bool> blocked = false, go_on = false;
  CallCounter counter;
  auto watcher = DirWatcher::Start(temp.path().string(), [&] {
    blocked = true;
    while (!go_on) std::this_thread::sleep_for(milliseconds(1));
    counter.Callback()();
  }, kNoPoll);
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  WriteFile(temp.path() / "key", "0");
  while (!blocked) std::this_thread::sleep_for(milliseconds(1));
  for (int i = 0; i <= limit / 2; ++i) {
    WriteFile(temp.path() / "key", "");
    fs::remove(temp.path() / "key");
  }
  go_on = true;
  ASSERT_TRUE(counter.WaitForMoreThan(1));
  const int before = counter.calls();
  WriteFile(temp.path() / "key", "1");
  EXPECT_TRUE(counter.WaitForMoreThan(before));
}

TEST(DirWatcher, PollsAsWell) {
  TempDir temp;
  CallCounter counter;
  auto watcher = DirWatcher::Start(temp.path().string(), counter.Callback(),
                                   {.poll = milliseconds(5)});
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  EXPECT_TRUE(counter.WaitForMoreThan(3));
}

TEST(DirWatcher, IsQuietWhenNothingChanges) {
  TempDir temp;
  WriteFile(temp.path() / "key", "0");
  CallCounter counter;
  auto watcher = DirWatcher::Start(temp.path().string(), counter.Callback(), kNoPoll);
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  EXPECT_EQ(Content(temp.path() / "key"), "0");
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(counter.calls(), 0);
}

TEST(DirWatcher, RefusesAnEmptyPath) {
  EXPECT_EQ(DirWatcher::Start("", [] {}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bonsai::kernel
