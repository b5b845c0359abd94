// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "agent/base/status.h"
#include "agent/base/unique_fd.h"
#include "agent/settings/snapshot_file.h"

namespace bonsai::kube {
namespace {

using base::UniqueFd;

constexpr char kDataLink[] = "..data";
constexpr int kAttempts = 50;
constexpr std::chrono::milliseconds kPause(20);
constexpr size_t kMostFiles = 16384;

UniqueFd OpenDirectory(int dir_fd, const char* name) {
  return UniqueFd(openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool IsManifestName(const std::string& name) {
  return !name.starts_with('.') &&
         (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

absl::StatusOr<std::vector<std::string>> ManifestNames(int dir_fd, const std::string& path) {
  UniqueFd own = OpenDirectory(dir_fd, ".");
  std::unique_ptr<DIR, int (*)(DIR*)> dir(own.valid() ? fdopendir(own.get()) : nullptr, closedir);
  if (dir == nullptr) return base::ErrnoStatus(errno, "listing manifests directory " + path);
  own.release();  // closedir closes it
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = readdir(dir.get()); errno = 0) {
    if (IsManifestName(entry->d_name)) names.emplace_back(entry->d_name);
  }
  if (errno != 0) return base::ErrnoStatus(errno, "listing manifests directory " + path);
  if (names.size() > kMostFiles) {
    return base::InvalidArgument("reading manifests directory {}: more than {} files", path,
                                 kMostFiles);
  }
  return names;
}

bool IsDirectory(int dir_fd, const std::string& name) {
  struct stat info = {};
  return fstatat(dir_fd, name.c_str(), &info, 0) == 0 && S_ISDIR(info.st_mode);
}

// True when `name` is gone altogether; a dangling symlink is still there.
bool IsGone(int dir_fd, const std::string& name) {
  struct stat info = {};
  return fstatat(dir_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

absl::StatusOr<Files> ReadAll(int dir_fd, const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ManifestNames(dir_fd, path));
  Files files;
  for (const std::string& name : names) {
    if (IsDirectory(dir_fd, name)) continue;
    auto content = settings::ReadFileAt(dir_fd, name, path + "/" + name);
    if (absl::IsNotFound(content.status()) && IsGone(dir_fd, name)) continue;  // deleted meanwhile
    FileContent& file = files[name];
    if (content.ok()) {
      file.bytes = std::move(content->text);
    } else {
      file.status = content.status();
    }
  }
  return files;
}

bool SameInode(int a, int b) {
  struct stat first = {}, second = {};
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

// nullopt: the directory changed under the reader. `projected` says whether one read is enough.
absl::StatusOr<std::optional<Files>> ReadOnce(const std::string& path, bool& projected) {
  const UniqueFd dir = OpenDirectory(AT_FDCWD, path.c_str());
  if (!dir.valid()) return base::ErrnoStatus(errno, "reading manifests directory " + path);
  const UniqueFd data = OpenDirectory(dir.get(), kDataLink);
  projected = data.valid();
  if (!projected) {
    // A ..data that leads nowhere is between two versions.
    if (!IsGone(dir.get(), kDataLink)) return std::nullopt;
    ASSIGN_OR_RETURN(Files files, ReadAll(dir.get(), path));
    return std::optional(std::move(files));
  }
  // A version that is still linked after it was read was whole while it was read: a kubelet removes
  // the old one only after it has moved the link.
  ASSIGN_OR_RETURN(Files files, ReadAll(data.get(), path));
  const UniqueFd now = OpenDirectory(dir.get(), kDataLink);
  if (!now.valid() || !SameInode(data.get(), now.get())) return std::nullopt;
  return std::optional(std::move(files));
}

}  // namespace

absl::StatusOr<Files> ReadManifestFiles(const std::string& path, const Files& last) {
  std::optional<Files> before = last;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kPause);
    bool projected = false;
    ASSIGN_OR_RETURN(std::optional<Files> files, ReadOnce(path, projected));
    if (files && (projected || files == before)) return *std::move(files);
    before = std::move(files);
  }
  return base::Unavailable("reading manifests directory {}: it kept changing while it was read",
                           path);
}

}  // namespace bonsai::kube
