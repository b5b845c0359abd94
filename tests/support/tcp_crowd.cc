// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tcp_crowd.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

constexpr char kQuestion[64] = "question";
constexpr auto kPause = std::chrono::milliseconds(20);  // between a connection's questions

base::UniqueFd Listen(const Netns& ns, uint16_t port) {
  NetnsScope scope(ns);
  base::UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1, off = 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  sockaddr_in6 any = {};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0) << strerror(errno);
  EXPECT_EQ(listen(fd.get(), 1024), 0);
  return fd;
}

}  // namespace

TcpCrowd::TcpCrowd(const Netns& from, const Netns& to, const std::string& address, uint16_t port,
                   size_t count, uint16_t to_port)
    : listener_(Listen(to, to_port != 0 ? to_port : port)) {
  answering_ = std::jthread([this](std::stop_token stop) { Answer(stop); });
  Open(from, address, port, count);
  asking_ = std::jthread([this](std::stop_token stop) { Ask(stop); });
}

TcpCrowd::~TcpCrowd() {
  asking_.request_stop();
  asking_.join();
  answering_.request_stop();
}

void TcpCrowd::Open(const Netns& from, const std::string& address, uint16_t port, size_t count) {
  NetnsScope scope(from);
  sockaddr_storage to;
  const socklen_t size = MakeAddress(address, port, to);
  for (size_t i = 0; i < count; ++i) {
    auto peer = std::make_unique<Peer>();
    peer->socket.reset(socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(peer->socket.get(), reinterpret_cast<sockaddr*>(&to), size) != 0) {
      ADD_FAILURE() << "connection " << i << " to " << address << ": " << strerror(errno);
      return;
    }
    peers_.push_back(std::move(peer));
  }
}

// False: the connection is broken.
bool TcpCrowd::TakeAnswer(Peer& peer) {
  char buffer[4096];
  const ssize_t bytes = recv(peer.socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  if (bytes <= 0) return bytes < 0 && errno == EAGAIN;
  peer.unanswered -= static_cast<uint32_t>(bytes);
  if (peer.unanswered == 0) {
    ++peer.exchanges;
    ++exchanges_;
  }
  return true;
}

void TcpCrowd::Ask(std::stop_token stop) {
  while (!stop.stop_requested()) {
    for (const auto& peer : peers_) {
      if (!peer->socket.valid()) continue;
      bool sound = TakeAnswer(*peer);
      if (sound && peer->unanswered == 0) {
        sound = send(peer->socket.get(), kQuestion, sizeof(kQuestion), MSG_NOSIGNAL) > 0;
        peer->unanswered = sizeof(kQuestion);
      }
      if (sound) continue;
      ++broken_;
      peer->socket.reset();
    }
    std::this_thread::sleep_for(kPause);
  }
}

void TcpCrowd::Answer(std::stop_token stop) {
  base::UniqueFd poller(epoll_create1(EPOLL_CLOEXEC));
  std::vector<base::UniqueFd> clients;
  epoll_event event = {.events = EPOLLIN, .data = {.fd = listener_.get()}};
  epoll_ctl(poller.get(), EPOLL_CTL_ADD, listener_.get(), &event);
  char buffer[4096];
  while (!stop.stop_requested()) {
    epoll_event ready[128];
    const int count = epoll_wait(poller.get(), ready, 128, 20);
    for (int i = 0; i < count; ++i) {
      const int fd = ready[i].data.fd;
      if (fd == listener_.get()) {
        clients.emplace_back(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        event.data.fd = clients.back().get();
        epoll_ctl(poller.get(), EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      const ssize_t bytes = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (bytes > 0) {
        send(fd, buffer, static_cast<size_t>(bytes), MSG_NOSIGNAL);
      } else if (bytes == 0 || errno != EAGAIN) {
        epoll_ctl(poller.get(), EPOLL_CTL_DEL, fd, nullptr);  // the asking side counts it
      }
    }
  }
}

size_t TcpCrowd::CountAlive(int timeout_seconds) {
  std::vector<uint64_t> before;
  for (const auto& peer : peers_) before.push_back(peer->exchanges);
  size_t alive = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  do {
    std::this_thread::sleep_for(kPause);
    alive = 0;
    // The one that is open now may have been asked before the call; the next one was not.
    for (size_t i = 0; i < peers_.size(); ++i) alive += peers_[i]->exchanges >= before[i] + 2;
  } while (alive < peers_.size() && std::chrono::steady_clock::now() < end);
  return alive;
}

}  // namespace bonsai::testing
