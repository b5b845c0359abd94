// SPDX-License-Identifier: Apache-2.0
#include "agent/report/life_feed.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <utility>

#include "agent/base/status.h"

namespace bonsai::report {
namespace {
// The kernel does not wake for each generation; what it left unsaid is found by this at the latest.
constexpr int kPollMillis = 100;
// A ring that is written all the time is always readable.
constexpr int kRestMillis = 10;

// How long the thread may sleep.
int TimeoutOf(bool news, bool has_ring, bool can_be_woken) {
  if (news) return kRestMillis;
  return has_ring || !can_be_woken ? kPollMillis : -1;
}

}  // namespace

LifeFeed::LifeFeed(LifeDesk& desk) : desk_(desk), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

LifeFeed::~LifeFeed() {
  thread_.request_stop();
  Wake();
  thread_.join();
}

absl::Status LifeFeed::Replace(int events_map_fd) {
  std::optional<kernel::RingBuffer> next;
  if (events_map_fd >= 0) {
    auto made = kernel::RingBuffer::Make(events_map_fd, [](std::span<const uint8_t>) {});
    if (!made.ok()) return base::Annotate(made.status(), "reading the board's events");
    next.emplace(*std::move(made));
  }
  Wake();
  {
    std::lock_guard lock(mutex_);
    ring_ = std::move(next);
  }
  Wake();
  return absl::OkStatus();
}

void LifeFeed::Wake() const {
  // Without an eventfd (no descriptors left) the poll timeout alone moves the thread on.
  if (wake_.valid()) ::eventfd_write(wake_.get(), 1);
}

void LifeFeed::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    int ring = -1;
    bool news = false;
    {
      std::lock_guard lock(mutex_);
      if (ring_) {
        const auto records = ring_->Consume();
        news = records.ok() && *records > 0;
        ring = ring_->epoll_fd();
      }
    }
    if (news) desk_.TellNews();
    // The ring may be replaced meanwhile: a closed descriptor is an event as well, and a foreign one
    // that took its number is only looked at.
    pollfd fds[] = {{.fd = wake_.get(), .events = POLLIN}, {.fd = ring, .events = POLLIN}};
    ::poll(fds, news ? 1 : 2, TimeoutOf(news, ring >= 0, wake_.valid()));
    eventfd_t ignored;
    if (wake_.valid()) ::eventfd_read(wake_.get(), &ignored);
  }
}

}  // namespace bonsai::report
