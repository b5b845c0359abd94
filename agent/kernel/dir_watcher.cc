// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/dir_watcher.h"

#include <algorithm>

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
  const auto report = [watch = &watcher->watch_, call = std::move(on_change)] {
    watch->GiveUpWriters();
    call();
  };
  ASSIGN_OR_RETURN(watcher->thread_,
                   ChangeThread::Start(watcher->watch_.fd(), drain, report,
                                       {.settle = timing.settle,
                                        .longest = timing.longest,
                                        .poll = timing.poll,
                                        .brief = std::min(timing.brief, timing.settle),
                                        .whole = [watch = &watcher->watch_] {
                                          return watch->whole();
                                        }}));
  return watcher;
}

}  // namespace bonsai::kernel
