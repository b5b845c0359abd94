// SPDX-License-Identifier: Apache-2.0
// Many open TCP connections that keep exchanging data, with a server of their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/unique_fd.h"
#include "tests/support/netns.h"

namespace bonsai::testing {

class TcpCrowd {
 public:
  // Opens `count` connections, one after the other; fewer are a test failure. `to_port`: where the
  // server listens when `port` is translated.
  TcpCrowd(const Netns& from, const Netns& to, const std::string& address, uint16_t port,
           size_t count, uint16_t to_port = 0);
  ~TcpCrowd();

  uint64_t exchanges() const { return exchanges_; }
  // Connections that were reset or closed, by either end.
  uint64_t broken() const { return broken_; }
  // Waits until each connection that is open has exchanged data once more. Connections that did.
  size_t CountAlive(int timeout_seconds = 10);

 private:
  struct Peer {
    base::UniqueFd socket;
    std::atomic<uint64_t> exchanges{0};
    uint32_t unanswered = 0;  // bytes
  };
  void Open(const Netns& from, const std::string& address, uint16_t port, size_t count);
  void Ask(std::stop_token stop);
  void Answer(std::stop_token stop);
  bool TakeAnswer(Peer& peer);

  base::UniqueFd listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::atomic<uint64_t> exchanges_{0}, broken_{0};
  std::jthread answering_, asking_;
};

}  // namespace bonsai::testing
