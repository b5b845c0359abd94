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

absl::Status FlowReader::Open(EventSource source, int map_fd,
                              std::vector<kernel::RingBuffer>& rings) {
  if (map_fd < 0) return absl::OkStatus();
  auto ring = kernel::RingBuffer::Make(
      map_fd, [this, source](std::span<const uint8_t> record) { Receive(source, record); });
  if (!ring.ok()) return base::Annotate(ring.status(), "reading flow events");
  rings.push_back(std::move(ring).value());
  return absl::OkStatus();
}

absl::Status FlowReader::Replace(const EventRings& rings) {
  std::vector<kernel::RingBuffer> next;
  RETURN_IF_ERROR(Open(EventSource::kFlows, rings.flows, next));
  RETURN_IF_ERROR(Open(EventSource::kDns, rings.dns, next));
  RETURN_IF_ERROR(Open(EventSource::kHttp, rings.http, next));
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

void FlowReader::Receive(EventSource source, std::span<const uint8_t> record) {
  auto flow = decoder_.Decode(source, record.data(), record.size());
  if (flow.ok()) {
    hub_.Push(std::move(flow).value());
  } else {
    hub_.AddLost(1);
  }
}

void FlowReader::TakeReplacement() {
  std::vector<kernel::RingBuffer> old;  // closed without the lock
  std::lock_guard lock(mutex_);
  if (!std::exchange(replace_, false)) return;
  old = std::exchange(rings_, std::exchange(next_, {}));
}

absl::Status FlowReader::ConsumeAll() {
  for (kernel::RingBuffer& ring : rings_) RETURN_IF_ERROR(ring.Consume().status());
  return absl::OkStatus();
}

void FlowReader::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (absl::Status consumed = ConsumeAll(); !consumed.ok()) {
      std::lock_guard lock(mutex_);
      status_ = base::Annotate(consumed, "reading flow events");
      rings_.clear();
    }
    TakeReplacement();
    std::vector<pollfd> fds = {{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    for (const kernel::RingBuffer& ring : rings_) {
      fds.push_back({.fd = ring.epoll_fd(), .events = POLLIN, .revents = 0});
    }
    ::poll(fds.data(), fds.size(), kPollMillis);
    eventfd_t ignored;
    if (wake_.valid()) ::eventfd_read(wake_.get(), &ignored);
  }
}

}  // namespace bonsai::report
