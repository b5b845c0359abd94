// SPDX-License-Identifier: Apache-2.0
#include "tests/support/traffic.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

namespace bonsai::testing {
namespace {

constexpr int kPollMs = 50;

bool Readable(int fd, int timeout_ms) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, timeout_ms) == 1;
}

}  // namespace

socklen_t MakeAddress(const std::string& address, uint16_t port, sockaddr_storage& out) {
  std::memset(&out, 0, sizeof(out));
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof(*v4);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) != 1) return 0;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  return sizeof(*v6);
}

EchoServer::EchoServer(const Netns& ns, Proto proto, uint16_t port, std::string name)
    : proto_(proto), name_(std::move(name)) {
  NetnsScope scope(ns);
  int type = proto == Proto::kTcp ? SOCK_STREAM : SOCK_DGRAM;
  socket_.reset(socket(AF_INET6, type | SOCK_CLOEXEC, 0));
  int on = 1, off = 0;
  setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  sockaddr_storage any;
  socklen_t size = MakeAddress("::", port, any);
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&any), size) != 0 ||
      (proto == Proto::kTcp && listen(socket_.get(), 256) != 0)) {
    ADD_FAILURE() << "serving port " << port << ": " << strerror(errno);
  }
  thread_ = std::jthread([this](std::stop_token stop) { Serve(stop); });
}

EchoServer::~EchoServer() {
  thread_.request_stop();
  thread_.join();
}

void EchoServer::Serve(std::stop_token stop) {
  if (proto_ == Proto::kTcp) {
    ServeTcp(stop);
  } else {
    ServeUdp(stop);
  }
}

void EchoServer::ServeTcp(std::stop_token stop) {
  std::vector<base::UniqueFd> clients;
  char buffer[2048];
  while (!stop.stop_requested()) {
    std::vector<pollfd> polled{{socket_.get(), POLLIN, 0}};
    for (const auto& client : clients) polled.push_back({client.get(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), kPollMs) <= 0) continue;
    for (size_t i = polled.size(); i-- > 1;) {
      if (polled[i].revents == 0) continue;
      ssize_t n = recv(polled[i].fd, buffer, sizeof(buffer), 0);
      std::string answer = name_ + "|" + std::string(buffer, n > 0 ? n : 0);
      if (n <= 0 || send(polled[i].fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
        clients.erase(clients.begin() + (i - 1));
      }
    }
    if (polled[0].revents & POLLIN) {
      base::UniqueFd client(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.valid()) clients.push_back(std::move(client));
    }
  }
}

void EchoServer::ServeUdp(std::stop_token stop) {
  char buffer[2048];
  while (!stop.stop_requested()) {
    if (!Readable(socket_.get(), kPollMs)) continue;
    sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    ssize_t n = recvfrom(socket_.get(), buffer, sizeof(buffer), 0,
                         reinterpret_cast<sockaddr*>(&peer), &size);
    if (n < 0) continue;
    std::string answer = name_ + "|" + std::string(buffer, n);
    sendto(socket_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
  }
}

std::optional<Connection> Connection::Open(const Netns& from, Proto proto,
                                           const std::string& address, uint16_t port,
                                           int timeout_ms) {
  sockaddr_storage to;
  socklen_t size = MakeAddress(address, port, to);
  if (size == 0) {
    ADD_FAILURE() << "not an address: " << address;
    return std::nullopt;
  }
  NetnsScope scope(from);
  int type = proto == Proto::kTcp ? SOCK_STREAM : SOCK_DGRAM;
  base::UniqueFd fd(socket(to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int rc = connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size);
  if (rc != 0 && errno == EINPROGRESS) {
    pollfd p{fd.get(), POLLOUT, 0};
    if (poll(&p, 1, timeout_ms) != 1) return std::nullopt;
    socklen_t len = sizeof(rc);
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &rc, &len);
  }
  if (rc != 0) return std::nullopt;
  return Connection(std::move(fd));
}

std::optional<std::string> Connection::Ask(int timeout_ms) {
  std::string question = "question " + std::to_string(++sequence_) + ".";
  if (send(socket_.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) return std::nullopt;
  std::string answer;
  char buffer[2048];
  while (Readable(socket_.get(), timeout_ms)) {
    ssize_t n = recv(socket_.get(), buffer, sizeof(buffer), 0);
    if (n <= 0) return std::nullopt;
    answer.append(buffer, n);
    size_t bar = answer.find('|');
    if (bar != std::string::npos && answer.ends_with("|" + question)) {
      size_t start = answer.rfind('.', answer.size() - 2);  // a late answer may stand before it
      start = start == std::string::npos ? 0 : start + 1;
      bar = answer.find('|', start);
      return answer.substr(start, bar - start);
    }
  }
  return std::nullopt;
}

uint16_t Connection::local_port() const {
  sockaddr_storage local;
  socklen_t size = sizeof(local);
  getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&local), &size);
  return ntohs(local.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(&local)->sin_port
                                          : reinterpret_cast<sockaddr_in6*>(&local)->sin6_port);
}

std::optional<std::string> Ask(const Netns& from, Proto proto, const std::string& address,
                               uint16_t port, int timeout_ms) {
  auto connection = Connection::Open(from, proto, address, port, timeout_ms);
  return connection ? connection->Ask(timeout_ms) : std::nullopt;
}

std::string Fetch(const Netns& ns, uint16_t port, const std::string& path) {
  base::UniqueFd fd;
  {
    NetnsScope scope(ns);
    fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  sockaddr_storage to;
  const socklen_t size = MakeAddress("127.0.0.1", port, to);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size) != 0) return "";
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::string answer;
  char buffer[8192];
  while (Readable(fd.get(), 2000)) {
    const ssize_t bytes = recv(fd.get(), buffer, sizeof(buffer), 0);
    if (bytes <= 0) break;
    answer.append(buffer, static_cast<size_t>(bytes));
  }
  return answer;
}

bool Ping(const Netns& from, const std::string& address, int timeout_seconds) {
  std::string family = address.find(':') == std::string::npos ? "-4" : "-6";
  return from
             .Exec("ping " + family + " -n -c 1 -W " + std::to_string(timeout_seconds) + " " +
                   address)
             .exit_code == 0;
}

SteadyTraffic::SteadyTraffic(const Netns& from, const std::string& address, uint16_t port)
    : from_(from), address_(address), port_(port) {
  udp_ = std::jthread([this](std::stop_token stop) { Loop(stop, Proto::kUdp); });
  tcp_ = std::jthread([this](std::stop_token stop) { Loop(stop, Proto::kTcp); });
}

SteadyTraffic::~SteadyTraffic() {
  udp_.request_stop();
  tcp_.request_stop();
}

void SteadyTraffic::Loop(std::stop_token stop, Proto proto) {
  auto connection = Connection::Open(from_, proto, address_, port_);
  while (!stop.stop_requested()) {
    if (connection && connection->Ask(500)) {
      ++answered_;
      continue;
    }
    ++lost_;
    if (!connection || proto == Proto::kTcp) {
      connection = Connection::Open(from_, proto, address_, port_);
    }
  }
}

}  // namespace bonsai::testing
