// SPDX-License-Identifier: Apache-2.0
// Calls back when a directory (a mounted ConfigMap, a directory of manifests) or a file changes.
//
// Contract: after the last change to the content on_change is called at least once, and that call
// begins after the change. Calls may come without a change: at the latest after `poll` the caller
// is asked to look again, so that nothing is lost for good that inotify does not tell. Survives
// `..data` swaps, writes in place, removal and re-creation of the path and of what is above it, and
// a full event queue. Start it *before* the first read of the content.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "agent/kernel/change_thread.h"
#include "agent/kernel/path_watch.h"

namespace bonsai::kernel {

struct WatchTiming {
  std::chrono::milliseconds settle{50};    // quiet time after a change before it is reported
  // ... when nothing is left half-written, as after a kubelet's swap of ..data or a file moved there
  std::chrono::milliseconds brief{1};
  std::chrono::milliseconds longest{500};  // ... but no longer than this after the first
  std::chrono::milliseconds poll{5000};
};

class DirWatcher {
 public:
  // `path` may not exist yet. on_change runs on the watcher's own thread, one call at a time; it
  // must not destroy the watcher.
  static absl::StatusOr<std::unique_ptr<DirWatcher>> Start(const std::string& path,
                                                           std::function<void()> on_change,
                                                           WatchTiming timing = {});
  // No call after the destructor returned, which waits for one that runs.
  ~DirWatcher() = default;

  // False: the node is out of inotify instances or watches, changes are only seen by polling
  // (fs.inotify.max_user_instances, max_user_watches). As of Start().
  bool has_inotify() const { return has_inotify_; }

 private:
  explicit DirWatcher(const std::string& path)
      : watch_(path), has_inotify_(watch_.complete()) {}

  PathWatch watch_;  // of the thread, once that runs
  const bool has_inotify_;
  std::unique_ptr<ChangeThread> thread_;  // last: ends first
};

}  // namespace bonsai::kernel
