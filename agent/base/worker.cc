// SPDX-License-Identifier: Apache-2.0
#include "agent/base/worker.h"

#include <absl/cleanup/cleanup.h>

#include <chrono>
#include <system_error>
#include <utility>

namespace bonsai::base {
namespace {

void Await(std::binary_semaphore& semaphore) {
  constexpr std::chrono::milliseconds kAwake{1};
  const auto end = std::chrono::steady_clock::now() + kAwake;
  do {
    if (semaphore.try_acquire()) return;
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  semaphore.acquire();
}

}  // namespace

Worker::~Worker() {
  if (!thread_.joinable()) return;
  Settle();
  work_ = nullptr;
  begin_.release();
  thread_.join();
}

bool Worker::Start() {
  if (thread_.joinable()) return true;
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void Worker::Do(std::function<void()> work) {
  Settle();
  thrown_ = nullptr;
  work_ = std::move(work);
  if (!Start()) {
    Work();
    return;
  }
  busy_ = true;
  begin_.release();
}

void Worker::Wait() {
  Settle();
  if (thrown_ != nullptr) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void Worker::Settle() noexcept {
  if (std::exchange(busy_, false)) Await(done_);
}

void Worker::Run() {
  for (Await(begin_); work_; Await(begin_)) {
    Work();
    done_.release();
  }
}

// No exception may leave the thread: memory may run out.
void Worker::Work() {
  try {
    work_();
  } catch (...) {
    thrown_ = std::current_exception();
  }
}

absl::Status Both(Worker* worker, absl::FunctionRef<absl::Status()> first,
                  absl::FunctionRef<absl::Status()> second) {
  if (worker == nullptr) {
    const absl::Status status = first();
    return status.ok() ? second() : status;
  }
  absl::Status beside;
  // What `first` throws (no memory is left) it throws when the other is done.
  const absl::Cleanup settle = [worker] { worker->Settle(); };
  worker->Do([&] { beside = second(); });
  const absl::Status status = first();
  if (!status.ok()) return status;  // whatever the other did
  worker->Wait();
  return beside;
}

}  // namespace bonsai::base
