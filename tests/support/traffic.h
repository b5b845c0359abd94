// SPDX-License-Identifier: Apache-2.0
// Real traffic between namespaces: echo servers that say who they are, and clients that ask.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "agent/base/unique_fd.h"
#include "tests/support/netns.h"

namespace bonsai::testing {

enum class Proto { kTcp, kUdp };

// Answers every message (v4 and v6) on `port` with "<name>|<message>".
class EchoServer {
 public:
  EchoServer(const Netns& ns, Proto proto, uint16_t port, std::string name);
  ~EchoServer();

 private:
  void Serve(std::stop_token stop);
  void ServeTcp(std::stop_token stop);
  void ServeUdp(std::stop_token stop);

  Proto proto_;
  std::string name_;
  base::UniqueFd socket_;
  std::jthread thread_;
};

// A connected socket that can be asked again and again: the same flow.
class Connection {
 public:
  // nullopt when the connection is refused or not made within the time.
  static std::optional<Connection> Open(const Netns& from, Proto proto, const std::string& address,
                                        uint16_t port, int timeout_ms = 1000);
  // Name of the server that answered; nullopt: no answer in time, or an answer to something else.
  std::optional<std::string> Ask(int timeout_ms = 1000);
  uint16_t local_port() const;

 private:
  explicit Connection(base::UniqueFd socket) : socket_(std::move(socket)) {}
  base::UniqueFd socket_;
  uint64_t sequence_ = 0;
};

// Opens, asks once and closes: name of the server that answered.
std::optional<std::string> Ask(const Netns& from, Proto proto, const std::string& address,
                               uint16_t port, int timeout_ms = 1000);

// Socket address of an IPv4 or IPv6 address and a port; its size, 0 when it is no address.
socklen_t MakeAddress(const std::string& address, uint16_t port, sockaddr_storage& out);

// Answer to an HTTP GET of 127.0.0.1 inside the namespace, with its header; "" when none comes.
std::string Fetch(const Netns& ns, uint16_t port, const std::string& path);

// One ICMP or ICMPv6 echo.
bool Ping(const Netns& from, const std::string& address, int timeout_seconds = 1);

// Asks over one UDP flow and one TCP flow without pause until stopped, and counts. A question
// unanswered within 500 ms is lost.
class SteadyTraffic {
 public:
  SteadyTraffic(const Netns& from, const std::string& address, uint16_t port);
  ~SteadyTraffic();
  uint64_t answered() const { return answered_; }
  uint64_t lost() const { return lost_; }

 private:
  void Loop(std::stop_token stop, Proto proto);
  const Netns& from_;
  std::string address_;
  uint16_t port_;
  std::atomic<uint64_t> answered_{0}, lost_{0};
  std::jthread udp_, tcp_;
};

}  // namespace bonsai::testing
