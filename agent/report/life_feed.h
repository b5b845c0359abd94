// SPDX-License-Identifier: Apache-2.0
// LifeFeed: the thread that reads the ring buffer life_events and tells the desk that the board moved
// on. Replace() belongs to one thread; the destructor ends and joins the feed's own.
#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "agent/base/unique_fd.h"
#include "agent/kernel/bpf_ring_buffer.h"
#include "agent/report/life_desk.h"

namespace bonsai::report {

class LifeFeed {
 public:
  // `desk` must outlive the feed.
  explicit LifeFeed(LifeDesk& desk);
  ~LifeFeed();
  LifeFeed(const LifeFeed&) = delete;
  LifeFeed& operator=(const LifeFeed&) = delete;

  // Reads this ring buffer map from now on; -1: none. When it returns, the one before is no longer
  // mapped. The descriptor is borrowed during the call.
  absl::Status Replace(int events_map_fd);

 private:
  void Run(std::stop_token stop);
  void Wake() const;

  LifeDesk& desk_;
  base::UniqueFd wake_;                      // eventfd
  std::mutex mutex_;
  std::optional<kernel::RingBuffer> ring_;   // guarded by mutex_
  std::jthread thread_;                      // last: ends before what it uses
};

}  // namespace bonsai::report
