// SPDX-License-Identifier: Apache-2.0
// Reads the events of one type from a ring buffer map, in their order.
#pragma once

#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

namespace bonsai::testing {

template <class Event>
class EventRing {
 public:
  explicit EventRing(int map_fd) : ring_(ring_buffer__new(map_fd, Take, this, nullptr)) {
    EXPECT_NE(ring_, nullptr);
  }
  EventRing(const EventRing&) = delete;
  EventRing& operator=(const EventRing&) = delete;
  ~EventRing() { ring_buffer__free(ring_); }

  // Sent since the last call.
  std::vector<Event> Events() {
    ring_buffer__consume(ring_);
    return std::exchange(events_, {});
  }

 private:
  static int Take(void* self, void* data, size_t size) {
    EXPECT_EQ(size, sizeof(Event));
    Event event;
    std::memcpy(&event, data, sizeof(event));
    static_cast<EventRing*>(self)->events_.push_back(event);
    return 0;
  }

  ring_buffer* ring_;
  std::vector<Event> events_;
};

}  // namespace bonsai::testing
