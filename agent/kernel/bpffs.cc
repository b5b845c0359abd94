// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/bpffs.h"

#include <linux/magic.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "agent/base/status.h"

namespace bonsai::kernel {
namespace {

bool OnBpffs(const std::string& path) {
  struct statfs info = {};
  return statfs(path.c_str(), &info) == 0 &&
         static_cast<uint64_t>(info.f_type) == static_cast<uint64_t>(BPF_FS_MAGIC);
}

}  // namespace

absl::Status EnsureBpffs(const std::string& mount_point) {
  if (OnBpffs(mount_point)) return absl::OkStatus();
  if (mount("bpf", mount_point.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") ==
      0) {
    return absl::OkStatus();
  }
  int error = errno;
  if (OnBpffs(mount_point)) return absl::OkStatus();  // someone else was quicker
  return base::ErrnoStatus(
      error, fmt::format("mounting the BPF file system at {} (mount it on the host and into the "
                         "agent's container)",
                         mount_point));
}

absl::Status MakePinDir(const std::string& path) {
  std::string at;
  for (const auto& part : std::filesystem::path(path).lexically_normal()) {
    std::string parent = at;
    at = (std::filesystem::path(at) / part).string();
    struct stat info = {};
    if (part.empty() || stat(at.c_str(), &info) == 0) continue;
    if (!OnBpffs(parent)) {
      return base::FailedPrecondition("making pin directory {}: {} is not on a BPF file system",
                                      path, parent);
    }
    if (mkdir(at.c_str(), 0700) != 0 && errno != EEXIST) {
      return base::ErrnoStatus(errno, "making pin directory " + at);
    }
  }
  if (!OnBpffs(path)) {
    return base::FailedPrecondition("making pin directory {}: not on a BPF file system", path);
  }
  return absl::OkStatus();
}

absl::Status MakeNewPinDir(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "making pin directory " + path);
}

absl::StatusOr<base::UniqueFd> LockPinDir(const std::string& path) {
  RETURN_IF_ERROR(MakePinDir(path));
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "opening " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, "locking " + path);
  return base::FailedPrecondition(
      "locking {}: a live agent has its pins there; stop it, or name another --bpf-root", path);
}

absl::StatusOr<std::vector<std::string>> ListPins(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(path, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  if (error) return base::ErrnoStatus(error.value(), "listing pins in " + path);
  for (; entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    names.push_back(entries->path().filename().string());
    if (error) return base::ErrnoStatus(error.value(), "listing pins in " + path);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool IsPinDir(const std::string& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::Status RenamePin(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, fmt::format("moving pin {} to {}", from, to));
}

absl::Status RemovePin(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return base::ErrnoStatus(errno, "removing pin " + path);
}

absl::Status RemovePinDir(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) return absl::OkStatus();
  return base::ErrnoStatus(error.value(), "removing pin directory " + path);
}

}  // namespace bonsai::kernel
