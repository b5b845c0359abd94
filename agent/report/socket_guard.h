// SPDX-License-Identifier: Apache-2.0
// SocketGuard: the right to serve on a path of the file system. Two agents never have it at once,
// and a socket that a killed agent left behind is no obstacle.
//
// The path's lock file (<path>.lock) is held while the guard lives and stays behind, empty of
// meaning once the kernel has released the lock. Only an uninstall removes it: whoever locked a file
// that is not there any more has locked nothing, and tries again. Not thread-safe.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"

namespace bonsai::report {

class SocketGuard {
 public:
  // Makes the directory, takes the lock and removes a stale socket. FailedPrecondition when a live
  // agent serves there (names its pid) or something else than a socket is in the way;
  // InvalidArgument for a path that cannot be a socket's.
  static absl::StatusOr<SocketGuard> Acquire(const std::string& path);

  SocketGuard(SocketGuard&& other) noexcept;
  SocketGuard& operator=(SocketGuard&&) = delete;
  // Removes the socket, then releases the lock.
  ~SocketGuard();

  // Where to bind. The socket comes to its path by Publish only, with its rights already in place.
  const std::string& bind_path() const { return bind_path_; }
  absl::Status Publish(mode_t mode, std::optional<gid_t> group);

 private:
  SocketGuard(std::string path, base::UniqueFd lock);

  std::string path_, bind_path_;
  base::UniqueFd lock_;
  bool published_ = false;
};

// What an agent that is gone left at `path`: socket, lock and all. Nobody can serve there while it
// lives.
class SocketRemains {
 public:
  // Makes and changes nothing. FailedPrecondition while a live agent serves there (names its pid);
  // InvalidArgument as of SocketGuard.
  static absl::StatusOr<SocketRemains> Claim(const std::string& path);

  const std::vector<std::string>& files() const { return files_; }
  // Also the directory, if it is empty then and its name says that it is ours: "bonsai".
  absl::Status Remove();

 private:
  std::string path_;
  base::UniqueFd lock_;  // invalid: there is no lock file
  std::vector<std::string> files_;
};

}  // namespace bonsai::report
