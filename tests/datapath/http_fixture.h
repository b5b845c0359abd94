// SPDX-License-Identifier: Apache-2.0
// A pod whose HTTP is watched on ports 80 and 8080.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/datapath/fixture.h"
#include "tests/datapath/http_oracle.h"
#include "tests/support/event_ring.h"

namespace bonsai::testing {

inline constexpr uint16_t kClientPort = 1000;

// The way a segment goes: `to_server`, and whether the pod is the client.
struct Way {
  bool to_server = true, from_pod = true;
  bonsai_hook hook() const { return from_pod ? HOOK_FROM_POD : HOOK_TO_POD; }
};

inline constexpr Way kWays[] = {{true, true}, {true, false}, {false, true}, {false, false}};

class HttpTest : public DatapathTest {
 protected:
  void SetUp() override;
  void LoadHttp(const Constants& more = {});
  void SetPorts(const std::vector<uint16_t>& ports);

  Frame Segment(const std::string& payload, Way way, uint16_t server_port = 80) const;
  // Runs the segment; it has to pass unchanged.
  void Send(const Frame& frame, Way way);
  void Send(const std::string& payload, Way way = {}) { Send(Segment(payload, way), way); }
  std::vector<http_event> Events() { return ring_->Events(); }
  // What was told of all since the last call: nothing, or one event; more is a failure.
  std::optional<http_event> Told();
  std::optional<HttpSeen> Seen(const std::string& payload, Way way = {});
  uint64_t Counter(uint32_t slot);  // enum http_counter, all CPUs together

 private:
  std::unique_ptr<EventRing<http_event>> ring_;
};

HttpSeen ToSeen(const http_event& event);

// A request of pod:1000 to port 80 as curl makes it.
inline constexpr char kGet[] =
    "GET /index.html HTTP/1.1\r\nHost: web.example\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

}  // namespace bonsai::testing
