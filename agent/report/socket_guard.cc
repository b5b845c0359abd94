// SPDX-License-Identifier: Apache-2.0
#include "agent/report/socket_guard.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "agent/base/status.h"

namespace bonsai::report {
namespace {

constexpr char kBindSuffix[] = ".new";

std::string LockPath(const std::string& path) { return path + ".lock"; }

sockaddr_un MakeSockaddr(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

absl::Status CheckPath(const std::string& path) {
  // Characters that mean something in a gRPC target are refused rather than escaped.
  const bool plain = std::all_of(path.begin(), path.end(), [](unsigned char c) {
    return std::isalnum(c) || std::strchr("/._-+@", c) != nullptr;
  });
  if (path.empty() || path[0] != '/' || path.back() == '/' || !plain) {
    return base::InvalidArgument(
        "serving on \"{}\": a socket path is absolute and made of letters, digits and /._-+@", path);
  }
  const size_t room = sizeof(sockaddr_un::sun_path) - sizeof(kBindSuffix);
  if (path.size() > room) {
    return base::InvalidArgument("serving on {}: a socket path may have {} characters at most",
                                 path, room);
  }
  return absl::OkStatus();
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  const auto directory = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(directory, error);
  if (!error) return absl::OkStatus();
  return base::ErrnoStatus(error.value(), "making directory " + directory.string() + " for the socket");
}

// Pid of the process that listens at `path`; 0: nobody does.
pid_t ListenerPid(const std::string& path) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return -1;  // cannot tell: leave the socket alone
  const sockaddr_un address = MakeSockaddr(path);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(fd.get(), generic, sizeof(address)) != 0 && errno != EAGAIN) return 0;
  ucred peer{.pid = -1};
  socklen_t size = sizeof(peer);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  return peer.pid > 0 ? peer.pid : -1;
}

absl::Status LiveAgent(const std::string& path, pid_t pid) {
  const std::string who = pid > 0 ? std::to_string(pid) : "not known";
  return base::FailedPrecondition(
      "serving on {}: socket is served by a live agent (pid {}); stop it or choose another socket",
      path, who);
}

// Between opening and locking, an uninstall may have removed the file.
bool StillThere(int fd, const std::string& path) {
  struct stat held {}, named {};
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

// Takes the lock of a lock file that is open.
absl::Status Lock(const std::string& path, const base::UniqueFd& lock) {
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
    if (StillThere(lock.get(), LockPath(path))) return absl::OkStatus();
    return base::Unavailable("locking {}: it was removed meanwhile; try again", LockPath(path));
  }
  if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, "locking " + LockPath(path));
  if (pid_t pid = ListenerPid(path); pid != 0) return LiveAgent(path, pid);
  char text[16] = {};
  const ssize_t size = ::pread(lock.get(), text, sizeof(text) - 1, 0);
  return LiveAgent(path, size > 0 ? static_cast<pid_t>(std::atol(text)) : -1);
}

absl::StatusOr<base::UniqueFd> TakeLock(const std::string& path) {
  const std::string lock_path = LockPath(path);
  base::UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return base::ErrnoStatus(errno, "opening lock file " + lock_path);
  RETURN_IF_ERROR(Lock(path, lock));
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return base::ErrnoStatus(errno, "writing lock file " + lock_path);
  }
  return lock;
}

bool IsSocket(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

absl::Status RemoveStale(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return base::ErrnoStatus(errno, "looking at socket " + path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return base::FailedPrecondition(
        "serving on {}: it exists and is no socket; remove it or choose another socket", path);
  }
  // A server of other make or an older agent takes no lock.
  if (pid_t pid = ListenerPid(path); pid != 0) return LiveAgent(path, pid);
  if (::unlink(path.c_str()) != 0) return base::ErrnoStatus(errno, "removing stale socket " + path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SocketGuard> SocketGuard::Acquire(const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  RETURN_IF_ERROR(MakeDirectory(path));
  ASSIGN_OR_RETURN(base::UniqueFd lock, TakeLock(path));
  RETURN_IF_ERROR(RemoveStale(path));
  SocketGuard guard(path, std::move(lock));
  RETURN_IF_ERROR(RemoveStale(guard.bind_path_));
  return guard;
}

absl::StatusOr<SocketRemains> SocketRemains::Claim(const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  SocketRemains remains;
  remains.path_ = path;
  const std::string lock_path = LockPath(path);
  remains.lock_ = base::UniqueFd(::open(lock_path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!remains.lock_.valid() && errno != ENOENT && errno != ENOTDIR) {
    return base::ErrnoStatus(errno, "opening lock file " + lock_path);
  }
  if (remains.lock_.valid()) RETURN_IF_ERROR(Lock(path, remains.lock_));
  for (const std::string& socket : {path, path + kBindSuffix}) {
    if (!IsSocket(socket)) continue;
    // A server of other make or an older agent takes no lock.
    if (pid_t pid = ListenerPid(socket); pid != 0) return LiveAgent(path, pid);
    remains.files_.push_back(socket);
  }
  if (remains.lock_.valid()) remains.files_.push_back(lock_path);
  return remains;
}

absl::Status SocketRemains::Remove() {
  for (const std::string& file : files_) {
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
      return base::ErrnoStatus(errno, "removing " + file);
    }
  }
  files_.clear();
  const auto directory = std::filesystem::path(path_).parent_path();
  // Not when it is in use or a mount point, which is why a failure is none.
  if (directory.filename() == "bonsai") ::rmdir(directory.c_str());
  return absl::OkStatus();
}

SocketGuard::SocketGuard(std::string path, base::UniqueFd lock)
    : path_(std::move(path)), bind_path_(path_ + kBindSuffix), lock_(std::move(lock)) {}

SocketGuard::SocketGuard(SocketGuard&& other) noexcept
    : path_(std::move(other.path_)),
      bind_path_(std::move(other.bind_path_)),
      lock_(std::move(other.lock_)),
      published_(std::exchange(other.published_, false)) {}

SocketGuard::~SocketGuard() {
  if (!lock_.valid()) return;
  ::unlink(bind_path_.c_str());
  if (published_) ::unlink(path_.c_str());
}

absl::Status SocketGuard::Publish(mode_t mode, std::optional<gid_t> group) {
  const uid_t keep_owner = static_cast<uid_t>(-1);
  if (group && ::chown(bind_path_.c_str(), keep_owner, *group) != 0) {
    return base::ErrnoStatus(errno, "giving socket " + path_ + " to its group");
  }
  if (::chmod(bind_path_.c_str(), mode) != 0) {
    return base::ErrnoStatus(errno, "setting the mode of socket " + path_);
  }
  if (::rename(bind_path_.c_str(), path_.c_str()) != 0) {
    return base::ErrnoStatus(errno, "moving the socket to " + path_);
  }
  published_ = true;
  return absl::OkStatus();
}

}  // namespace bonsai::report
