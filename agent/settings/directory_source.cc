// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

#include "agent/base/status.h"
#include "agent/base/unique_fd.h"
#include "agent/settings/settings_source.h"
#include "agent/settings/snapshot_file.h"

namespace bonsai::settings {
namespace {

using base::UniqueFd;
using std::chrono::milliseconds;

constexpr char kDataLink[] = "..data";
constexpr int kAttempts = 64;
constexpr milliseconds kPause(2);          // between attempts at a projected directory
constexpr milliseconds kStablePause(20);   // between the two equal reads of a plain one
constexpr std::chrono::nanoseconds kYoung(std::chrono::seconds(1));
constexpr size_t kMostKeys = 4096;
constexpr size_t kMostBytes = 4 << 20;

// Absent: the directory changed under the reader, who tries again.
using Attempt = absl::StatusOr<std::optional<RawSettings>>;

UniqueFd OpenDirectory(int dir_fd, const std::string& name) {
  return UniqueFd(openat(dir_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool SameInode(int a, int b) {
  struct stat first = {}, second = {};
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

absl::StatusOr<std::vector<std::string>> ListNames(int dir_fd, const std::string& path) {
  UniqueFd own = OpenDirectory(dir_fd, ".");
  if (!own.valid()) return base::ErrnoStatus(errno, "listing " + path);
  std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(own.get()), closedir);
  if (dir == nullptr) return base::ErrnoStatus(errno, "listing " + path);
  own.release();  // closedir closes it
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr && errno != 0) return base::ErrnoStatus(errno, "listing " + path);
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    names.emplace_back(entry->d_name);
    if (names.size() > kMostKeys) {
      return base::InvalidArgument("reading {}: more than {} files", path, kMostKeys);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

void TrimLineEnds(std::string& text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
}

struct Content {
  RawSettings raw;
  int64_t directory_ns = 0;      // when a name in it was last added or removed
  int64_t modified_ns = 0;       // newest of the directory and its files
  int64_t empty_file_ns = 0;     // newest of the files without content
};

// Every file of the directory. NotFound: one was removed meanwhile.
absl::StatusOr<Content> ReadAll(int dir_fd, const std::string& path) {
  struct stat info = {};
  if (fstat(dir_fd, &info) != 0) return base::ErrnoStatus(errno, "reading " + path);
  Content content{.directory_ns = Nanoseconds(info.st_mtim),
                  .modified_ns = Nanoseconds(info.st_mtim)};
  size_t bytes = 0;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListNames(dir_fd, path));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(FileContent file, ReadFileAt(dir_fd, name, path + "/" + name));
    bytes += file.text.size();
    if (bytes > kMostBytes) {
      return base::InvalidArgument("reading {}: more than {} bytes in all", path, kMostBytes);
    }
    if (file.text.empty()) {
      content.empty_file_ns = std::max(content.empty_file_ns, file.modified_ns);
    }
    TrimLineEnds(file.text);
    content.raw[name] = std::move(file.text);
    content.modified_ns = std::max(content.modified_ns, file.modified_ns);
  }
  return content;
}

bool IsYoung(int64_t modified_ns) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::abs(Nanoseconds(now) - modified_ns) < kYoung.count();
}

// Files written one by one give no atomicity. Two equal reads with a pause between stand in for it,
// and what a writer leaves behind half-way has to be older than a moment: an empty file (truncated,
// not yet written) and, when `shrinking` matters, a directory whose names change (being deleted).
Attempt ReadTwice(int dir_fd, const std::string& path, bool shrinking) {
  const auto first = ReadAll(dir_fd, path);
  std::this_thread::sleep_for(kStablePause);
  auto second = ReadAll(dir_fd, path);
  if (!first.ok() && first.status() == second.status()) return first.status();
  if (!first.ok() || !second.ok() || first->raw != second->raw) return std::nullopt;
  if (IsYoung(second->empty_file_ns)) return std::nullopt;
  if (shrinking && IsYoung(second->directory_ns)) return std::nullopt;
  return std::optional(std::move(second->raw));
}

// What file times are rounded to.
std::chrono::nanoseconds Tick() {
  timespec resolution = {};
  clock_getres(CLOCK_REALTIME_COARSE, &resolution);
  return std::chrono::nanoseconds(Nanoseconds(resolution));
}

// When a name in the directory was last added or removed; -1: no one knows.
int64_t DirectoryTime(int dir_fd) {
  struct stat info = {};
  return fstat(dir_fd, &info) == 0 ? Nanoseconds(info.st_mtim) : -1;
}

// Whether ..data still leads there.
bool IsLinked(int dir_fd, const UniqueFd& data) {
  const UniqueFd now = OpenDirectory(dir_fd, kDataLink);
  return now.valid() && SameInode(data.get(), now.get());
}

// `data`: the target of ..data; `linked_ns`: when the link was made. A kubelet removes the old
// target's files one by one after it has moved the link; a target that is still linked *after* it
// was read was whole while it was read. (Its inode number cannot have been given to a new
// directory: we hold it open.) One that was changed after it was linked is no kubelet's doing.
Attempt ReadProjected(int dir_fd, const UniqueFd& data, int64_t linked_ns,
                      const std::string& path) {
  auto content = ReadAll(data.get(), path);
  if (!content.ok() && !absl::IsNotFound(content.status())) return content.status();
  Attempt result = std::nullopt;
  const bool by_time = content.ok() && content->modified_ns <= linked_ns;
  if (by_time) {
    result = std::optional(std::move(content->raw));
  } else {
    result = ReadTwice(data.get(), path, true);
  }
  if (!IsLinked(dir_fd, data)) return std::nullopt;
  // Times are those of clock ticks: what was removed within the tick of the link looks older than it.
  // A tick later whoever removes all of it has moved on, and so has who linked another one.
  if (by_time && linked_ns - content->modified_ns < Tick().count()) {
    std::this_thread::sleep_for(Tick());
    if (IsLinked(dir_fd, data) ? DirectoryTime(data.get()) != content->directory_ns
                               : !OpenDirectory(dir_fd, kDataLink).valid()) {
      return std::nullopt;
    }
  }
  return result;
}

Attempt ReadPlain(int dir_fd, const std::string& path) {
  ASSIGN_OR_RETURN(std::optional<RawSettings> raw, ReadTwice(dir_fd, path, false));
  struct stat link = {};
  if (fstatat(dir_fd, kDataLink, &link, AT_SYMLINK_NOFOLLOW) == 0) return std::nullopt;
  if (raw && raw->empty()) {
    return base::FailedPrecondition(
        "reading configuration directory {}: it is empty; put a file named after a setting into it",
        path);
  }
  return raw;
}

Attempt ReadOnce(const std::string& path) {
  const UniqueFd dir = OpenDirectory(AT_FDCWD, path);
  if (!dir.valid() && errno == ENOTDIR) {
    return base::InvalidArgument("reading configuration directory {}: not a directory", path);
  }
  if (!dir.valid()) return base::ErrnoStatus(errno, "reading configuration directory " + path);
  struct stat link = {};
  if (fstatat(dir.get(), kDataLink, &link, AT_SYMLINK_NOFOLLOW) != 0) {
    return ReadPlain(dir.get(), path);
  }
  const UniqueFd data = OpenDirectory(dir.get(), kDataLink);
  if (!data.valid() && errno == ENOENT) return std::nullopt;  // between two versions
  if (!data.valid()) return base::ErrnoStatus(errno, "reading " + path + "/" + kDataLink);
  return ReadProjected(dir.get(), data, Nanoseconds(link.st_mtim), path);
}

}  // namespace

absl::StatusOr<RawSettings> ReadDirectory(const std::string& path) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ASSIGN_OR_RETURN(std::optional<RawSettings> raw, ReadOnce(path));
    if (raw) return *std::move(raw);
    std::this_thread::sleep_for(kPause);
  }
  return base::Unavailable("reading configuration directory {}: it kept changing while it was read, or "
                           "its ..data link points nowhere", path);
}

}  // namespace bonsai::settings
