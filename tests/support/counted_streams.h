// SPDX-License-Identifier: Apache-2.0
// Steady UDP flows of numbered packets, counted exactly at both ends.
//
// The sender never fills a queue by its own doing: it sends in small bursts, which the kernel takes
// as far as the receiving socket before the next begins, and stops when kWindow packets have not
// been read yet. What a receiving socket drops for want of room is counted apart all the same.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/unique_fd.h"
#include "tests/support/netns.h"

namespace bonsai::testing {

class CountedStreams {
 public:
  static constexpr uint64_t kWindow = 8192;
  static constexpr uint32_t kBurst = 16;

  struct Flow {
    const Netns* from;
    const Netns* to;
    std::string address;  // of `to`, or one that is translated to it
    uint16_t port;        // another one for each flow
    uint16_t to_port = 0; // where `to` listens; 0: `port`
  };
  struct Counts {
    uint64_t sent = 0, received = 0;
    uint64_t socket_drops = 0;  // arrived, and dropped by the receiving socket itself
    uint64_t lost() const { return sent - received - socket_drops; }
  };

  // Sends `packets_per_second` in all, spread over the flows.
  CountedStreams(std::vector<Flow> flows, uint32_t packets_per_second);
  ~CountedStreams();

  // Ends the sending and waits for what is on its way. By flow; `sent` is all that ever was.
  std::vector<Counts> Stop();
  uint64_t sent() const;
  // Packets that later ones of their flow have overtaken: lost, or about to arrive.
  uint64_t overtaken() const;
  // Since the start, until Stop.
  double seconds() const;

 private:
  struct End {
    base::UniqueFd sender, receiver;
    std::atomic<uint64_t> sent{0}, received{0};
    std::atomic<uint64_t> next{0};  // one more than the highest number received
  };
  void Send(std::stop_token stop);
  void Receive(std::stop_token stop);
  void SendBurst(uint32_t flow);
  void Take(End& end);
  uint64_t Unread() const;
  void WaitForRoom(std::stop_token stop);

  std::vector<std::unique_ptr<End>> ends_;
  const double packets_per_second_;
  uint64_t written_off_ = 0;  // unread packets that the sender waits for no longer
  std::chrono::steady_clock::time_point began_, ended_;
  std::jthread receiving_, sending_;
};

}  // namespace bonsai::testing
