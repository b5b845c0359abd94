// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/change_thread.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "agent/base/status.h"

namespace bonsai::kernel {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A burst of changes that on_change has not been called for yet.
struct Burst {
  Clock::time_point first, last;
};

}  // namespace

ChangeThread::ChangeThread(int fd, Drain drain, std::function<void()> on_change,
                           ChangeTiming timing, base::UniqueFd stop)
    : fd_(fd),
      drain_(std::move(drain)),
      on_change_(std::move(on_change)),
      timing_(timing),
      stop_(std::move(stop)) {}

absl::StatusOr<std::unique_ptr<ChangeThread>> ChangeThread::Start(int fd, Drain drain,
                                                                  std::function<void()> on_change,
                                                                  ChangeTiming timing) {
  base::UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) return base::ErrnoStatus(errno, "making an eventfd");
  std::unique_ptr<ChangeThread> made(
      new ChangeThread(fd, std::move(drain), std::move(on_change), timing, std::move(stop)));
  made->thread_ = std::jthread([thread = made.get()] { thread->Run(); });
  return made;
}

ChangeThread::~ChangeThread() {
  eventfd_write(stop_.get(), 1);
}

// False: the thread is to end.
bool ChangeThread::WaitUntil(Clock::time_point deadline, bool& readable) const {
  pollfd fds[] = {{.fd = stop_.get(), .events = POLLIN}, {.fd = fd_, .events = POLLIN}};
  int timeout = -1;
  if (deadline != Clock::time_point::max()) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 3600 * 1000));
  }
  const int ready = poll(fds, 2, timeout);
  readable = ready > 0 && fds[1].revents != 0;  // errors as well: the reader finds them
  return ready <= 0 || fds[0].revents == 0;
}

milliseconds ChangeThread::Settle() const {
  return timing_.whole != nullptr && timing_.whole() ? timing_.brief : timing_.settle;
}

void ChangeThread::Run() {
  std::optional<Burst> burst;
  Clock::time_point next_look = Clock::now() + timing_.poll;
  for (;;) {
    Clock::time_point deadline = timing_.poll.count() > 0 ? next_look : Clock::time_point::max();
    if (burst) deadline = std::min(burst->last + Settle(), burst->first + timing_.longest);
    bool readable = false;
    if (!WaitUntil(deadline, readable)) return;
    const bool due = Clock::now() >= deadline;
    if (readable && drain_(false)) {
      const Clock::time_point now = Clock::now();
      if (!burst) burst = Burst{now, now};
      burst->last = now;
    }
    const bool polled = due && !burst && drain_(true);
    const bool over = burst && Clock::now() >= std::min(burst->last + Settle(),
                                                        burst->first + timing_.longest);
    if (!polled && !over) continue;
    burst.reset();
    on_change_();
    next_look = Clock::now() + timing_.poll;
  }
}

}  // namespace bonsai::kernel
