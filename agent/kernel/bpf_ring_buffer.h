// SPDX-License-Identifier: Apache-2.0
// Reader of a BPF_MAP_TYPE_RINGBUF map. Used by one thread; there is one reader a map.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace bonsai::kernel {

class RingBuffer {
 public:
  // Gets each record in order; the bytes are valid during the call only.
  using Callback = std::function<void(std::span<const uint8_t> record)>;
  // `map_fd` is borrowed during the call; the mapping keeps the map alive.
  static absl::StatusOr<RingBuffer> Make(int map_fd, Callback callback);
  RingBuffer(RingBuffer&&) noexcept;
  RingBuffer& operator=(RingBuffer&&) noexcept;
  ~RingBuffer();

  // Becomes readable when there are records. Borrowed.
  int epoll_fd() const;
  // Hands over what is there, without waiting. Number of records.
  absl::StatusOr<uint64_t> Consume();
  // Bytes written and not yet consumed.
  uint64_t Pending() const;

 private:
  struct State;
  explicit RingBuffer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bonsai::kernel
