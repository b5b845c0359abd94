// SPDX-License-Identifier: Apache-2.0
#include "agent/report/flow_reader.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <stop_token>
#include <utility>

#include "agent/base/status.h"

namespace bonsai::report {
namespace {
// Records whose producer asked for no wake-up are found by this at the latest.
constexpr int kPollMillis = 500;
}  // namespace

FlowReader::FlowReader(const Publisher& publisher, FlowHub& hub)
    : hub_(hub), decoder_(publisher), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

FlowReader::~FlowReader() {
  thread_.request_stop();
  Wake();
  thread_.join();
}

absl::Status FlowReader::Replace(int events_map_fd) {
  std::optional<kernel::RingBuffer> next;
  if (events_map_fd >= 0) {
    auto made = kernel::RingBuffer::Make(
        events_map_fd, [this](std::span<const uint8_t> record) { Receive(record); });
    if (!made.ok()) return base::Annotate(made.status(), "reading flow events");
    next.emplace(std::move(made).value());
  }
  {
    std::lock_guard lock(mutex_);
    next_ = std::move(next);
    replace_ = true;
    status_ = absl::OkStatus();
  }
  Wake();
  return absl::OkStatus();
}

absl::Status FlowReader::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

void FlowReader::Wake() const {
  // Without an eventfd (no descriptors left) the poll timeout alone moves the thread on.
  if (wake_.valid()) ::eventfd_write(wake_.get(), 1);
}

void FlowReader::Receive(std::span<const uint8_t> record) {
  auto flow = decoder_.Decode(record.data(), record.size());
  if (flow.ok()) {
    hub_.Push(std::move(flow).value());
  } else {
    hub_.AddLost(1);
  }
}

void FlowReader::TakeReplacement() {
  std::optional<kernel::RingBuffer> old;
  std::lock_guard lock(mutex_);
  if (!std::exchange(replace_, false)) return;
  old = std::exchange(ring_, std::exchange(next_, std::nullopt));
}

absl::Status FlowReader::ConsumeAll() {
  if (!ring_) return absl::OkStatus();
  return ring_->Consume().status();
}

void FlowReader::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (absl::Status consumed = ConsumeAll(); !consumed.ok()) {
      std::lock_guard lock(mutex_);
      status_ = base::Annotate(consumed, "reading flow events");
      ring_.reset();
    }
    TakeReplacement();
    pollfd fds[] = {{.fd = wake_.get(), .events = POLLIN},
                    {.fd = ring_ ? ring_->epoll_fd() : -1, .events = POLLIN}};
    ::poll(fds, 2, kPollMillis);
    eventfd_t ignored;
    if (wake_.valid()) ::eventfd_read(wake_.get(), &ignored);
  }
}

}  // namespace bonsai::report
