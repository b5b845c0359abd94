// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/bpf_ring_buffer.h"

#include <bpf/libbpf.h>

#include <cerrno>

#include "agent/base/status.h"

namespace bonsai::kernel {

struct RingBuffer::State {
  struct Freer {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };
  Callback callback;
  std::unique_ptr<ring_buffer, Freer> ring;

  static int OnRecord(void* state, void* data, size_t size) {
    static_cast<State*>(state)->callback({static_cast<const uint8_t*>(data), size});
    return 0;
  }
};

RingBuffer::RingBuffer(std::unique_ptr<State> state) : state_(std::move(state)) {}
RingBuffer::RingBuffer(RingBuffer&&) noexcept = default;
RingBuffer& RingBuffer::operator=(RingBuffer&&) noexcept = default;
RingBuffer::~RingBuffer() = default;

absl::StatusOr<RingBuffer> RingBuffer::Make(int map_fd, Callback callback) {
  auto state = std::make_unique<State>();
  state->callback = std::move(callback);
  state->ring.reset(ring_buffer__new(map_fd, State::OnRecord, state.get(), nullptr));
  if (state->ring == nullptr) return base::ErrnoStatus(errno, "mapping a ring buffer");
  return RingBuffer(std::move(state));
}

int RingBuffer::epoll_fd() const { return ring_buffer__epoll_fd(state_->ring.get()); }

absl::StatusOr<uint64_t> RingBuffer::Consume() {
  int records = ring_buffer__consume(state_->ring.get());
  if (records < 0) return base::ErrnoStatus(-records, "reading a ring buffer");
  return static_cast<uint64_t>(records);
}

uint64_t RingBuffer::Pending() const {
  return ring__avail_data_size(ring_buffer__ring(state_->ring.get(), 0));
}

}  // namespace bonsai::kernel
