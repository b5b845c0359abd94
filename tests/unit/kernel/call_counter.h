// SPDX-License-Identifier: Apache-2.0
// Counts calls of a callback, and waits for them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace bonsai::testing {

class CallCounter {
 public:
  std::function<void()> Callback() {
    return [this] {
      std::lock_guard lock(mutex_);
      ++calls_;
      called_.notify_all();
    };
  }
  int calls() const {
    std::lock_guard lock(mutex_);
    return calls_;
  }
  // True once there were more than `before` calls; false after ten seconds.
  bool WaitForMoreThan(int before) const {
    std::unique_lock lock(mutex_);
    return called_.wait_for(lock, std::chrono::seconds(10), [&] { return calls_ > before; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable called_;
  int calls_ = 0;
};

}  // namespace bonsai::testing
