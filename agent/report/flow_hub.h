// SPDX-License-Identifier: Apache-2.0
// FlowHub: keeps the last flows and hands new ones to any number of readers.
//
// What layer 7 features saw is kept apart, so that it does not push out drops that are looked for later.
//
// Threads: Push is called by the flow reader's thread, everything else by any thread. Push never
// waits for a reader: each has a queue of its own with an upper bound; a slow reader loses its
// oldest flows and learns how many. The hub must outlive its subscriptions.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "agent/report/flow.h"

namespace bonsai::report {

struct FlowHubLimits {
  size_t kept = 4096;          // flows remembered for those who come later; of layer 7 as many again
  size_t queue = 1024;         // flows waiting for one reader
  size_t subscriptions = 16;   // readers at once
};

class FlowHub {
 public:
  using FlowPtr = std::shared_ptr<const Flow>;

  explicit FlowHub(FlowHubLimits limits = {}) : limits_(limits) {}
  FlowHub(const FlowHub&) = delete;
  FlowHub& operator=(const FlowHub&) = delete;

  class Subscription {
   public:
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    struct Item {
      FlowPtr flow;       // null: none came in time
      uint64_t lost = 0;  // flows dropped before this one because the reader was slow
    };
    // Kept flows that matched when the subscription began, oldest first.
    const std::vector<FlowPtr>& backlog() const { return backlog_; }
    Item Next(std::chrono::milliseconds timeout);

   private:
    friend class FlowHub;
    Subscription(FlowHub& hub, FlowFilter filter) : hub_(hub), filter_(std::move(filter)) {}

    FlowHub& hub_;
    const FlowFilter filter_;
    std::vector<FlowPtr> backlog_;
    // Guarded by hub_.mutex_.
    std::deque<FlowPtr> queue_;
    uint64_t lost_ = 0;
    std::condition_variable ready_;
  };

  // `last`: how many matching flows the backlog may hold. No flow is missing or doubled between
  // the backlog and Next(). ResourceExhausted when there are too many readers.
  absl::StatusOr<std::unique_ptr<Subscription>> Subscribe(FlowFilter filter, size_t last);

  void Push(Flow flow);
  // Events that never became a flow: the reader could not decode them.
  void AddLost(uint64_t count) { lost_ += count; }

  uint64_t received() const { return received_; }  // since construction
  uint64_t lost() const { return lost_; }          // undecodable, and dropped for slow readers

 private:
  const FlowHubLimits limits_;
  std::mutex mutex_;
  // In the order they came; guarded by mutex_.
  struct Kept {
    uint64_t sequence = 0;
    FlowPtr flow;
  };
  std::deque<Kept> kept_flows_, kept_l7_;
  uint64_t sequence_ = 0;                   // guarded by mutex_
  std::set<Subscription*> subscriptions_;   // guarded by mutex_
  std::atomic<uint64_t> received_{0}, lost_{0};
};

}  // namespace bonsai::report
