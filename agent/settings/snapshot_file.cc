// SPDX-License-Identifier: Apache-2.0
#include "agent/settings/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/base/status.h"
#include "agent/base/unique_fd.h"

namespace bonsai::settings {

absl::StatusOr<FileContent> ReadFileAt(int dir_fd, const std::string& name,
                                       const std::string& path) {
  // Non-blocking, because opening a FIFO would wait for its writer.
  base::UniqueFd fd(openat(dir_fd, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info = {};
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    return base::ErrnoStatus(errno, "reading " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return base::InvalidArgument("reading {}: not a regular file", path);
  }
  FileContent content{.modified_ns = Nanoseconds(info.st_mtim)};
  char buffer[16384];
  for (;;) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::ErrnoStatus(errno, "reading " + path);
    if (got == 0) return content;
    content.text.append(buffer, static_cast<size_t>(got));
    if (content.text.size() > kLargestFile) {
      return base::InvalidArgument("reading {}: larger than {} bytes", path, kLargestFile);
    }
  }
}

}  // namespace bonsai::settings
