// SPDX-License-Identifier: Apache-2.0
// A thread that waits at a descriptor and calls back when a burst of changes is over.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "agent/base/unique_fd.h"

namespace bonsai::kernel {

struct ChangeTiming {
  std::chrono::milliseconds settle{20};    // a burst is over after this long without a change
  std::chrono::milliseconds longest{500};  // a burst that does not end is reported this often
  std::chrono::milliseconds poll{0};       // without any change, look this often; 0: never
  // In place of `settle` while `whole` says that what was changed is complete; null: never.
  std::chrono::milliseconds brief{0};
  std::function<bool()> whole = nullptr;   // called on the thread, after `drain`
};

class ChangeThread {
 public:
  // Reads what is at the descriptor; true when it means a change. `polled`: the time for a slow
  // look has come; there may be nothing to read.
  using Drain = std::function<bool(bool polled)>;

  // `fd` is borrowed (-1: poll only). `drain` and `on_change` run on the thread of the object.
  // A change that arrives while on_change runs calls it again afterwards.
  static absl::StatusOr<std::unique_ptr<ChangeThread>> Start(int fd, Drain drain,
                                                             std::function<void()> on_change,
                                                             ChangeTiming timing);
  // Waits for a running callback; none runs afterwards. Not from within a callback.
  ~ChangeThread();

 private:
  ChangeThread(int fd, Drain drain, std::function<void()> on_change, ChangeTiming timing,
               base::UniqueFd stop);
  void Run();
  std::chrono::milliseconds Settle() const;
  bool WaitUntil(std::chrono::steady_clock::time_point deadline, bool& readable) const;

  const int fd_;
  const Drain drain_;
  const std::function<void()> on_change_;
  const ChangeTiming timing_;
  const base::UniqueFd stop_;  // eventfd, readable once the thread is to end
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace bonsai::kernel
