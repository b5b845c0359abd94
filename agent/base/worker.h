// SPDX-License-Identifier: Apache-2.0
// Worker: a thread beside the one that owns it, for one piece of work at a time. Who reads or analyses
// several objects, or knows early that there will be one, hands the same worker to all.
//
// To start a thread, or to wake one whose core sleeps, takes as long as an analysis of some thousand
// instructions (measured on virtual machines). So it is kept, and looks out for work for a while
// before it sleeps.
//
// Used by one thread. What a piece of work touches is the worker's from Do() until Wait().
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>

#include <exception>
#include <functional>
#include <semaphore>
#include <thread>

namespace bonsai::base {

class Worker {
 public:
  Worker() = default;
  ~Worker();  // after the work it still has
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Starts the thread, unless there is one: Do() need not wait for it then. False: none is to be had.
  bool Start();
  // Begins, after the piece before; where no thread is to be had, does it all before it returns.
  void Do(std::function<void()> work);
  // Until it is done. Throws what the work threw.
  void Wait();
  // The same when that does not matter any more.
  void Settle() noexcept;

 private:
  void Run();
  void Work();

  std::function<void()> work_;     // empty: end
  std::exception_ptr thrown_;
  bool busy_ = false;              // to be waited for; the owner's
  std::binary_semaphore begin_{0}, done_{0};
  std::thread thread_;
};

// Runs both, `second` in the worker's thread; null: in this one, if the first does not fail. Fails with
// what the first to stand here fails with.
absl::Status Both(Worker* worker, absl::FunctionRef<absl::Status()> first,
                  absl::FunctionRef<absl::Status()> second);

}  // namespace bonsai::base
