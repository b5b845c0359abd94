// SPDX-License-Identifier: Apache-2.0
#include "tests/support/counted_streams.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReceiveBytes = 256 << 20;  // a small packet takes under 1 KiB of it
constexpr auto kStall = std::chrono::milliseconds(500);

base::UniqueFd OpenReceiver(const Netns& ns, uint16_t port) {
  NetnsScope scope(ns);
  base::UniqueFd fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int off = 0;
  setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  EXPECT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes)), 0);
  sockaddr_in6 any = {};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0) << strerror(errno);
  return fd;
}

base::UniqueFd OpenSender(const CountedStreams::Flow& flow) {
  NetnsScope scope(*flow.from);
  sockaddr_storage to;
  const socklen_t size = MakeAddress(flow.address, flow.port, to);
  base::UniqueFd fd(socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size), 0) << flow.address;
  return fd;
}

uint64_t SocketDrops(int fd) {
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof(info);
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size), 0);
  return info[SK_MEMINFO_DROPS];
}

}  // namespace

CountedStreams::CountedStreams(std::vector<Flow> flows, uint32_t packets_per_second)
    : packets_per_second_(packets_per_second) {
  for (const Flow& flow : flows) {
    auto end = std::make_unique<End>();
    end->receiver = OpenReceiver(*flow.to, flow.to_port != 0 ? flow.to_port : flow.port);
    end->sender = OpenSender(flow);
    ends_.push_back(std::move(end));
  }
  began_ = Clock::now();
  receiving_ = std::jthread([this](std::stop_token stop) { Receive(stop); });
  sending_ = std::jthread([this](std::stop_token stop) { Send(stop); });
}

CountedStreams::~CountedStreams() { Stop(); }

std::vector<CountedStreams::Counts> CountedStreams::Stop() {
  if (sending_.joinable()) {
    sending_.request_stop();
    sending_.join();
    ended_ = Clock::now();
    for (auto end = Clock::now() + std::chrono::seconds(2); Unread() > 0 && Clock::now() < end;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    receiving_.request_stop();
    receiving_.join();
  }
  std::vector<Counts> counts;
  for (const auto& end : ends_) {
    counts.push_back({end->sent, end->received, SocketDrops(end->receiver.get())});
  }
  return counts;
}

uint64_t CountedStreams::sent() const {
  uint64_t sum = 0;
  for (const auto& end : ends_) sum += end->sent;
  return sum;
}

uint64_t CountedStreams::overtaken() const {
  uint64_t sum = 0;
  for (const auto& end : ends_) {
    const uint64_t received = end->received, next = end->next;
    sum += next > received ? next - received : 0;
  }
  return sum;
}

double CountedStreams::seconds() const {
  return std::chrono::duration<double>((ended_ > began_ ? ended_ : Clock::now()) - began_).count();
}

uint64_t CountedStreams::Unread() const {
  uint64_t received = 0;
  for (const auto& end : ends_) received += end->received;
  return sent() - received;
}

// Packets that were lost would keep the window shut for ever.
void CountedStreams::WaitForRoom(std::stop_token stop) {
  uint64_t before = Unread();
  auto since = Clock::now();
  while (!stop.stop_requested() && Unread() >= written_off_ + kWindow) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (Unread() != before) {
      before = Unread();
      since = Clock::now();
    } else if (Clock::now() - since > kStall) {
      written_off_ = before;
    }
  }
}

void CountedStreams::Send(std::stop_token stop) {
  uint32_t flow = 0;
  const auto pause = std::chrono::duration<double>(kBurst / packets_per_second_);
  auto due = Clock::now();
  while (!stop.stop_requested()) {
    WaitForRoom(stop);
    SendBurst(flow);
    flow = (flow + 1) % ends_.size();
    due += std::chrono::duration_cast<Clock::duration>(pause);
    // What the machine did not let us send in time is made up for, but not a long silence at once.
    due = std::max(due, Clock::now() - std::chrono::milliseconds(500));
    if (due - Clock::now() > std::chrono::microseconds(500)) std::this_thread::sleep_until(due);
  }
}

void CountedStreams::SendBurst(uint32_t flow) {
  End& end = *ends_[flow];
  uint64_t numbers[kBurst];
  iovec parts[kBurst];
  mmsghdr messages[kBurst] = {};
  for (uint32_t i = 0; i < kBurst; ++i) {
    numbers[i] = end.sent + i;
    parts[i] = {&numbers[i], sizeof(numbers[i])};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  // An ICMP error for an earlier packet is told here; the packets it hits were not sent.
  const int sent = sendmmsg(end.sender.get(), messages, kBurst, 0);
  if (sent > 0) end.sent += static_cast<uint64_t>(sent);
}

void CountedStreams::Take(End& end) {
  constexpr uint32_t kBatch = 64;
  uint64_t numbers[kBatch];
  iovec parts[kBatch];
  mmsghdr messages[kBatch] = {};
  for (uint32_t i = 0; i < kBatch; ++i) {
    parts[i] = {&numbers[i], sizeof(numbers[i])};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int taken = 0;
  do {
    taken = recvmmsg(end.receiver.get(), messages, kBatch, 0, nullptr);
    for (int i = 0; i < taken; ++i) {
      end.next = std::max<uint64_t>(end.next, numbers[i] + 1);
      ++end.received;
    }
  } while (taken == static_cast<int>(kBatch));
}

void CountedStreams::Receive(std::stop_token stop) {
  std::vector<pollfd> polled;
  for (const auto& end : ends_) polled.push_back({end->receiver.get(), POLLIN, 0});
  while (!stop.stop_requested()) {
    if (poll(polled.data(), polled.size(), 20) <= 0) continue;
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents & POLLIN) Take(*ends_[i]);
    }
    // Many at a time: to be woken for each would cost more than all the rest.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace bonsai::testing
