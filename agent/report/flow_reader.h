// SPDX-License-Identifier: Apache-2.0
// FlowReader: the thread that carries flow events from the kernel's ring buffer to the hub.
//
// Replace() and status() may be called by any thread, one at a time (the reconciler does). The
// destructor ends and joins the thread.
#pragma once

#include <absl/status/status.h>

#include <mutex>
#include <optional>
#include <thread>

#include "agent/base/unique_fd.h"
#include "agent/kernel/bpf_ring_buffer.h"
#include "agent/report/flow_decode.h"
#include "agent/report/flow_hub.h"

namespace bonsai::report {

class FlowReader {
 public:
  // Both must outlive the reader.
  FlowReader(const Publisher& publisher, FlowHub& hub);
  ~FlowReader();
  FlowReader(const FlowReader&) = delete;
  FlowReader& operator=(const FlowReader&) = delete;

  // Reads from this ring buffer map from now on, after what is left in the one before; -1: from
  // none. The descriptor is borrowed during the call. On an error the one before stays.
  absl::Status Replace(int events_map_fd);

  // Why reading stopped; OK while all is well. Replace() starts it again.
  absl::Status status() const;

 private:
  void Run(std::stop_token stop);
  void TakeReplacement();
  void Wake() const;
  void Receive(std::span<const uint8_t> record);
  absl::Status ConsumeAll();

  FlowHub& hub_;
  FlowDecoder decoder_;                       // reader thread only
  std::optional<kernel::RingBuffer> ring_;    // reader thread only
  base::UniqueFd wake_;                       // eventfd
  mutable std::mutex mutex_;
  bool replace_ = false;                      // guarded by mutex_
  std::optional<kernel::RingBuffer> next_;    // guarded by mutex_
  absl::Status status_;                       // guarded by mutex_
  std::jthread thread_;                       // last: ends before what it uses
};

}  // namespace bonsai::report
