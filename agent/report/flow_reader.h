// SPDX-License-Identifier: Apache-2.0
// FlowReader: the thread that carries events from the kernel's ring buffers to the hub. Events of one
// ring keep their order, those of two rings need not.
//
// Replace() and status() may be called by any thread, one at a time (the reconciler does). The
// destructor ends and joins the thread.
#pragma once

#include <absl/status/status.h>

#include <mutex>
#include <thread>
#include <vector>

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

  // Reads from these ring buffer maps from now on, after what is left in the ones before. The
  // descriptors are borrowed during the call. On an error the ones before stay.
  absl::Status Replace(const EventRings& rings);

  // Why reading stopped; OK while all is well. Replace() starts it again.
  absl::Status status() const;

 private:
  void Run(std::stop_token stop);
  void TakeReplacement();
  void Wake() const;
  void Receive(EventSource source, std::span<const uint8_t> record);
  absl::Status Open(EventSource source, int map_fd, std::vector<kernel::RingBuffer>& rings);
  absl::Status ConsumeAll();

  FlowHub& hub_;
  FlowDecoder decoder_;                       // reader thread only
  std::vector<kernel::RingBuffer> rings_;     // reader thread only
  base::UniqueFd wake_;                       // eventfd
  mutable std::mutex mutex_;
  bool replace_ = false;                      // guarded by mutex_
  std::vector<kernel::RingBuffer> next_;      // guarded by mutex_
  absl::Status status_;                       // guarded by mutex_
  std::jthread thread_;                       // last: ends before what it uses
};

}  // namespace bonsai::report
