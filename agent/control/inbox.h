// SPDX-License-Identifier: Apache-2.0
// Inbox: what has happened outside since the reconciler last looked. Watchers post, the reconciler
// takes; many posts of one kind are one. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <utility>

namespace bonsai::control {

enum Event : uint32_t {
  kConfigChanged = 1 << 0,
  kManifestsChanged = 1 << 1,
  kNetworkChanged = 1 << 2,
  kLifeAsked = 1 << 3,  // somebody waits at the LifeDesk
};
using Events = uint32_t;  // Event bits

class Inbox {
 public:
  void Post(Events events) {
    std::lock_guard lock(mutex_);
    events_ |= events;
    arrived_.notify_one();
  }

  // Takes what has come; waits for it until `deadline` or a stop. 0: nothing came.
  Events Take(std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    arrived_.wait_until(lock, stop, deadline, [&] { return events_ != 0; });
    return std::exchange(events_, 0);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  Events events_ = 0;
};

}  // namespace bonsai::control
