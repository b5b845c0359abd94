// SPDX-License-Identifier: Apache-2.0
#include "tests/datapath/http_fixture.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <numeric>

#include "agent/report/http_decode.h"

namespace bonsai::testing {

HttpSeen ToSeen(const http_event& event) {
  const auto text = [](const uint8_t* bytes, size_t length) {
    return std::string(bytes, bytes + length);
  };
  HttpSeen seen{.kind = event.head.kind};
  if (seen.kind == L7_MALFORMED) return seen;
  seen.minor = event.minor;
  seen.status = event.status;
  if (seen.kind != L7_REQUEST) return seen;
  seen.method = report::HttpMethodLabel(event.method);
  seen.path = text(event.path, event.path_len);
  seen.host = text(event.host, event.host_len);
  seen.path_cut = event.flags & HTTP_PATH_CUT;
  seen.host_cut = event.flags & HTTP_HOST_CUT;
  return seen;
}

void HttpTest::SetUp() {
  DatapathTest::SetUp();
  if (!IsSkipped()) LoadHttp();
}

void HttpTest::LoadHttp(const Constants& more) {
  Constants constants = more;
  constants.emplace("enable_http_visibility", 1);
  ring_.reset();
  Load(With(constants));
  ring_ = std::make_unique<EventRing<http_event>>(datapath().MapFd("http_events"));
  SetPorts({80, 8080});
}

void HttpTest::SetPorts(const std::vector<uint16_t>& ports) {
  l7_ports bitmap = {};
  for (const uint16_t port : ports) bitmap.bits[port / 64] |= uint64_t{1} << port % 64;
  datapath().Put("http_ports", uint32_t{0}, bitmap);
}

Frame HttpTest::Segment(const std::string& payload, Way way, uint16_t server_port) const {
  const Tcp tcp = way.to_server ? Tcp{kClientPort, server_port, kAck}
                                : Tcp{server_port, kClientPort, kAck};
  Frame frame = way.from_pod ? Leaving(tcp) : Entering(tcp);
  frame.payload = Bytes(payload.begin(), payload.end());
  return frame;
}

void HttpTest::Send(const Frame& frame, Way way) {
  const RunResult result = way.from_pod ? Out(frame) : In(frame);
  EXPECT_EQ(result.verdict, kPass);
  EXPECT_EQ(result.frame, Build(frame));
}

std::optional<http_event> HttpTest::Told() {
  const std::vector<http_event> events = Events();
  EXPECT_LE(events.size(), 1u);
  if (events.empty()) return std::nullopt;
  return events.front();
}

std::optional<HttpSeen> HttpTest::Seen(const std::string& payload, Way way) {
  Send(payload, way);
  const auto event = Told();
  if (!event) return std::nullopt;
  return ToSeen(*event);
}

uint64_t HttpTest::Counter(uint32_t slot) {
  std::vector<uint64_t> values(static_cast<size_t>(libbpf_num_possible_cpus()));
  EXPECT_EQ(bpf_map_lookup_elem(datapath().MapFd("http_metrics"), &slot, values.data()), 0);
  return std::accumulate(values.begin(), values.end(), uint64_t{0});
}

}  // namespace bonsai::testing
