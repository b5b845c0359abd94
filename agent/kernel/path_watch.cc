// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/path_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace bonsai::kernel {
namespace {

namespace fs = std::filesystem;

// One mask for all: a directory may be watched in two roles, and the last mask would win.
constexpr uint32_t kMask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY |
                           IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr char kAnyName[] = "";
constexpr char kDataLink[] = "..data";
constexpr int kAttempts = 16;

std::string Absolute(const std::string& path) {
  std::error_code ignored;
  fs::path absolute = fs::absolute(path, ignored).lexically_normal();
  if (!absolute.has_filename() && absolute.has_relative_path()) absolute = absolute.parent_path();
  return absolute.string();
}

bool Exists(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0;
}

bool IsSymlink(const std::string& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

}  // namespace

PathWatch::PathWatch(const std::string& path)
    : path_(Absolute(path)), inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  Rearm();
}

int PathWatch::Add(const std::string& path) {
  const int watch = inotify_add_watch(inotify_.get(), path.c_str(), kMask);
  if (watch < 0 && (errno == ENOSPC || errno == ENOMEM)) complete_ = false;
  return watch;
}

std::string PathWatch::WatchAbove(Watches& watches) {
  fs::path child = path_;
  while (child.has_relative_path()) {
    const fs::path directory = child.parent_path();
    const int watch = Add(directory.string());
    if (watch >= 0) {
      watches[watch].insert(child.filename().string());
      // A key of a projected ConfigMap, watched as a file, changes by its directory's link.
      if (directory == fs::path(path_).parent_path()) watches[watch].insert(kDataLink);
      return child.string();
    }
    child = directory;
  }
  return path_;
}

void PathWatch::WatchPath(Watches& watches) {
  if (const int watch = Add(path_); watch >= 0) watches[watch].insert(kAnyName);
  if (const int watch = Add(path_ + "/" + kDataLink); watch >= 0) watches[watch].insert(kAnyName);
}

// From above downwards: what is made after its directory was watched is seen as an event, what was
// made before is found. Only the search upwards can miss a directory that appears meanwhile; then
// it is done again.
void PathWatch::Rearm() {
  if (!inotify_.valid()) {
    complete_ = false;
    return;
  }
  complete_ = true;
  Watches watches;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    watches.clear();
    const std::string missing = WatchAbove(watches);
    WatchPath(watches);
    if (missing == path_ || !Exists(missing)) break;
  }
  for (const auto& [watch, names] : watches_) {
    if (!watches.contains(watch)) inotify_rm_watch(inotify_.get(), watch);
  }
  std::erase_if(writing_, [&](const auto& file) { return !watches.contains(file.first); });
  watches_ = std::move(watches);
}

bool PathWatch::Matters(int watch, const std::string& name) const {
  const auto it = watches_.find(watch);
  if (it == watches_.end()) return false;  // of a watch that was given up
  return name.empty() || it->second.contains(kAnyName) || it->second.contains(name);
}

void PathWatch::Follow(int watch, uint32_t mask, const std::string& name) {
  // What a kubelet makes is links and directories.
  const bool made = (mask & IN_CREATE) != 0 && (mask & IN_ISDIR) == 0 &&
                    !IsSymlink(path_ + "/" + name) && !name.starts_with("..");
  if (made || (mask & IN_MODIFY) != 0) writing_.insert({watch, name});
  if ((mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF)) != 0) {
    writing_.erase({watch, name});
  }
}

bool PathWatch::ReadEvents() {
  alignas(inotify_event) char buffer[16384];
  bool changed = false;
  for (;;) {
    const ssize_t got = read(inotify_.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return changed;
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof(event));
      const char* name = buffer + at + sizeof(event);
      const bool lost = (event.mask & IN_Q_OVERFLOW) != 0;
      const std::string file(name, strnlen(name, event.len));
      const bool matters = Matters(event.wd, file);
      if (lost) writing_.clear();
      if (matters) Follow(event.wd, event.mask, file);
      changed |= lost || matters;
      at += static_cast<ssize_t>(sizeof(event)) + event.len;
    }
  }
}

bool PathWatch::Drain() {
  if (!inotify_.valid() || !ReadEvents()) return false;
  Rearm();
  return true;
}

}  // namespace bonsai::kernel
