// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/bpffs.h"

#include <linux/magic.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
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

namespace {

// Pid of the process that holds a lock by flock() on what `fd` is; 0: not one that this process sees.
pid_t LockHolder(int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return 0;
  const std::string wanted = fmt::format("{:02x}:{:02x}:{}", major(info.st_dev),
                                         minor(info.st_dev), info.st_ino);
  std::ifstream locks("/proc/locks");
  // "1: FLOCK  ADVISORY  WRITE 708 00:13:6452 0 EOF"; "->" before the kind of one that waits.
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, mode, access, where;
    pid_t pid = 0;
    if (words >> number >> kind >> mode >> access >> pid >> where && kind == "FLOCK" &&
        where == wanted && pid > 0) {
      return pid;
    }
  }
  return 0;
}

// Between opening and locking, an uninstall may have removed the directory.
bool StillThere(int fd, const std::string& path) {
  struct stat held = {}, named = {};
  return fstat(fd, &held) == 0 && stat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

absl::StatusOr<base::UniqueFd> Lock(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "opening " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
    if (StillThere(fd.get(), path)) return fd;
    return base::Unavailable("locking {}: it was removed meanwhile; try again", path);
  }
  if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, "locking " + path);
  const pid_t pid = LockHolder(fd.get());
  return base::FailedPrecondition(
      "locking {}: a live agent (pid {}) has its pins there; stop it, or name another --bpf-root",
      path, pid > 0 ? std::to_string(pid) : "not known");
}

}  // namespace

absl::StatusOr<base::UniqueFd> LockPinDir(const std::string& path) {
  RETURN_IF_ERROR(MakePinDir(path));
  return Lock(path);
}

absl::StatusOr<base::UniqueFd> LockExistingPinDir(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOTDIR) errno = ENOENT;
    return base::ErrnoStatus(errno, "looking at " + path);
  }
  if (!S_ISDIR(info.st_mode) || !OnBpffs(path)) {
    return base::FailedPrecondition("locking {}: it is no directory of a BPF file system", path);
  }
  return Lock(path);
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
