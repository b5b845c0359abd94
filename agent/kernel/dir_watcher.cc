// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/dir_watcher.h"

#include "agent/base/status.h"

namespace bonsai::kernel {

absl::StatusOr<std::unique_ptr<DirWatcher>> DirWatcher::Start(const std::string& path,
                                                              std::function<void()> on_change,
                                                              WatchTiming timing) {
  if (path.empty()) return base::InvalidArgument("watching a path: it is empty");
  std::unique_ptr<DirWatcher> watcher(new DirWatcher(path));
  const auto drain = [watch = &watcher->watch_](bool polled) {
    if (!polled) return watch->Drain();
    watch->Rearm();
    return true;
  };
  ASSIGN_OR_RETURN(watcher->thread_,
                   ChangeThread::Start(watcher->watch_.fd(), drain, std::move(on_change),
                                       {timing.settle, timing.longest, timing.poll}));
  return watcher;
}

}  // namespace bonsai::kernel
