// SPDX-License-Identifier: Apache-2.0
// inotify on one directory or file whose path may come, go and change its meaning. Pollable, no
// thread of its own; one thread at a time.
//
// Watched are the path, the target of a `..data` link in it, and the directory above for the path's
// own name, so that swaps, re-creation and moved links are seen; while the directory above is
// missing, the nearest one that exists. What inotify cannot see (a mount over the path, a link
// further up that moves, network file systems) is for the caller's slow poll.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "agent/base/unique_fd.h"

namespace bonsai::kernel {

class PathWatch {
 public:
  // Without inotify (limits reached) the watch has no descriptor and polling is all there is.
  explicit PathWatch(const std::string& path);

  // Readable when something may have changed; -1: there is no inotify. Owned by this object.
  int fd() const { return inotify_.get(); }

  // Reads all events and watches anew what the path means now. True when something may have
  // changed since the last call: a caller who reads the path *after* this call misses nothing,
  // because what comes later makes the descriptor readable again.
  bool Drain();
  // Watches anew without an event; before a slow poll.
  void Rearm();

  // No file that was seen to be made or written is open for writing any more: links that were moved
  // and files that were closed are complete as they are.
  bool whole() const { return writing_.empty(); }
  // Whoever has not gone on writing by now is not waited for.
  void GiveUpWriters() { writing_.clear(); }

  // False when some watch could not be placed for want of resources.
  bool complete() const { return complete_; }

 private:
  using Names = std::set<std::string>;  // names inside a watched directory that matter; "": all
  using Watches = std::map<int, Names>;

  int Add(const std::string& path);
  // Returns the deepest directory above the path that could be watched.
  std::string WatchAbove(Watches& watches);
  void WatchPath(Watches& watches);
  bool Matters(int watch, const std::string& name) const;
  bool ReadEvents();
  void Follow(int watch, uint32_t mask, const std::string& name);

  std::string path_;  // absolute
  base::UniqueFd inotify_;
  Watches watches_;
  std::set<std::pair<int, std::string>> writing_;
  bool complete_ = true;
};

}  // namespace bonsai::kernel
