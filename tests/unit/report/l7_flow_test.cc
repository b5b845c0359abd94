// SPDX-License-Identifier: Apache-2.0
// Events of layer 7 features to flows, and what is made of the bytes in them.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "agent/report/flow_decode.h"
#include "agent/report/http_decode.h"
#include "agent/report/to_proto.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using testing::SampleDnsEvent;
using testing::SampleHttpEvent;

template <typename Event>
absl::StatusOr<Flow> Decode(EventSource source, const Event& event, size_t size = sizeof(Event)) {
  Publisher publisher;
  publisher.Publish(testing::SampleSnapshot());
  return FlowDecoder(publisher).Decode(source, &event, size);
}

std::string Escaped(const std::string& text) {
  return EscapeBytes(std::vector<uint8_t>(text.begin(), text.end()));
}

http_event WithPath(const std::string& path) {
  http_event event = SampleHttpEvent();
  event.path_len = static_cast<uint16_t>(path.size());
  std::memcpy(event.path, path.data(), std::min(path.size(), sizeof(event.path)));
  return event;
}

TEST(L7Decoder, NamesBothEndsOfAnHttpRequest) {
  const auto flow = Decode(EventSource::kHttp, SampleHttpEvent());
  ASSERT_TRUE(flow.ok()) << flow.status();
  EXPECT_EQ(flow->l7_kind, L7_REQUEST);
  EXPECT_EQ(flow->source.pod, "default/client");
  EXPECT_EQ(flow->source.port, 34567);
  EXPECT_EQ(flow->destination.pod, "default/web-1");
  EXPECT_EQ(flow->destination.port, 8080);
  EXPECT_EQ(flow->device, "veth-client");
  EXPECT_EQ(flow->hook, "from-pod");
  EXPECT_FALSE(flow->is_drop);
  EXPECT_FALSE(flow->dns.has_value());
  ASSERT_TRUE(flow->http.has_value());
  EXPECT_EQ(flow->http->method, "GET");
  EXPECT_EQ(flow->http->path, "/index.html");
  EXPECT_EQ(flow->http->host, "web");
  EXPECT_EQ(flow->http->minor, 1);
  EXPECT_EQ(flow->http->status, 0);
}

TEST(L7Decoder, NamesTheServiceThatAResponseSeemsToComeFrom) {
  http_event event = SampleHttpEvent();
  event.head.kind = L7_RESPONSE;
  event.status = 404;
  event.head.sport = htons(80);
  std::memcpy(event.head.saddr, testing::Ip("10.96.0.10").bytes, 4);
  const auto flow = Decode(EventSource::kHttp, event);
  ASSERT_TRUE(flow.ok()) << flow.status();
  EXPECT_EQ(flow->source.service, "default/web:http");
  EXPECT_EQ(flow->http->status, 404);
  EXPECT_EQ(flow->http->method, "");
  EXPECT_EQ(flow->http->path, "");
}

TEST(L7Decoder, DeniedQueryIsADrop) {
  dns_event event = SampleDnsEvent();
  event.head.kind = L7_DENIED;
  const auto flow = Decode(EventSource::kDns, event);
  ASSERT_TRUE(flow.ok()) << flow.status();
  EXPECT_TRUE(flow->is_drop);
  EXPECT_EQ(flow->reason, "dns-denied");
  EXPECT_TRUE(flow->dns.has_value());
  EXPECT_FALSE(flow->http.has_value());
}

TEST(L7Decoder, RefusesShortAndForeignRecords) {
  const auto internal = absl::StatusCode::kInternal;
  http_event http = SampleHttpEvent();
  dns_event dns = SampleDnsEvent();
  EXPECT_EQ(Decode(EventSource::kHttp, http, sizeof(http) - 1).status().code(), internal);
  EXPECT_EQ(Decode(EventSource::kHttp, http, 3).status().code(), internal);
  EXPECT_EQ(Decode(EventSource::kDns, dns, sizeof(dns) - 1).status().code(), internal);
  http.head.family = 5;
  EXPECT_EQ(Decode(EventSource::kHttp, http).status().code(), internal);
}

TEST(HttpDecode, EscapesWhatIsNotPrintableSoThatNothingLooksAlike) {
  EXPECT_EQ(Escaped("/a b?c=%20&d~"), "/a b?c=%20&d~");
  EXPECT_EQ(Escaped(std::string("\x00\x1b[31m\x7f\x80\xff\r\n", 11)),
            "\\x00\\x1b[31m\\x7f\\x80\\xff\\x0d\\x0a");
  EXPECT_EQ(Escaped("\\x00"), "\\\\x00");
  EXPECT_EQ(Escaped(""), "");
}

TEST(HttpDecode, EveryByteComesOutAsPrintableAscii) {
  for (int byte = 0; byte < 256; ++byte) {
    for (const char c : Escaped(std::string(1, static_cast<char>(byte)))) {
      EXPECT_TRUE(c >= 0x20 && c < 0x7f) << byte;
    }
  }
}

TEST(HttpDecode, KeepsToTheRoomThereIsWhateverTheLengthsSay) {
  const std::string full(256, 'p');
  EXPECT_EQ(DecodeHttp(WithPath(full)).path, full);
  EXPECT_FALSE(DecodeHttp(WithPath(full)).path_cut);
  http_event event = WithPath(full);
  event.path_len = 65535;
  event.host_len = 255;
  const HttpDetails details = DecodeHttp(event);
  EXPECT_EQ(details.path.size(), 256u);
  EXPECT_TRUE(details.path_cut);
  EXPECT_TRUE(details.host_cut);
}

TEST(HttpDecode, TellsFlagsApart) {
  http_event event = SampleHttpEvent();
  event.flags = HTTP_PATH_CUT;
  EXPECT_TRUE(DecodeHttp(event).path_cut);
  EXPECT_FALSE(DecodeHttp(event).host_cut);
  event.flags = HTTP_HOST_CUT;
  EXPECT_FALSE(DecodeHttp(event).path_cut);
  EXPECT_TRUE(DecodeHttp(event).host_cut);
}

TEST(HttpDecode, NamesMethodsAndTakesUnknownNumbersForOthers) {
  EXPECT_EQ(HttpMethodLabel(HTTP_OTHER), "other");
  EXPECT_EQ(HttpMethodLabel(HTTP_PATCH), "PATCH");
  EXPECT_EQ(HttpMethodLabel(HTTP_METHOD_COUNT), "other");
}

TEST(FlowFilter, LetsOnlyTheProtocolsAskedForThrough) {
  const Flow http = *Decode(EventSource::kHttp, SampleHttpEvent());
  const Flow dns = *Decode(EventSource::kDns, SampleDnsEvent());
  const Flow flow = *Decode(EventSource::kFlows, testing::SampleEvent());
  for (const Flow* any : {&http, &dns, &flow}) EXPECT_TRUE(FlowFilter{}.Matches(*any));
  EXPECT_TRUE(FlowFilter{.http = true}.Matches(http));
  EXPECT_FALSE(FlowFilter{.http = true}.Matches(dns));
  EXPECT_FALSE(FlowFilter{.http = true}.Matches(flow));
  EXPECT_TRUE((FlowFilter{.dns = true, .http = true}.Matches(dns)));
  EXPECT_FALSE((FlowFilter{.dns = true, .http = true}.Matches(flow)));
  EXPECT_TRUE((FlowFilter{.pod = "client", .http = true}.Matches(http)));
  EXPECT_FALSE((FlowFilter{.pod = "other", .http = true}.Matches(http)));
  EXPECT_FALSE((FlowFilter{.drops_only = true, .http = true}.Matches(http)));
}

TEST(ToFilter, TakesKnownLayer7ProtocolsAlone) {
  v1::StreamFlowsRequest request;
  request.add_l7(v1::L7_PROTOCOL_HTTP);
  request.add_l7(v1::L7_PROTOCOL_HTTP);
  const auto filter = ToFilter(request);
  ASSERT_TRUE(filter.ok()) << filter.status();
  EXPECT_TRUE(filter->http);
  EXPECT_FALSE(filter->dns);
  request.add_l7(v1::L7_PROTOCOL_UNSPECIFIED);
  EXPECT_EQ(ToFilter(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ToFlow, CarriesWhatLayer7Saw) {
  const v1::Flow request = ToFlow(*Decode(EventSource::kHttp, SampleHttpEvent()));
  EXPECT_EQ(request.kind(), v1::FLOW_KIND_REQUEST);
  EXPECT_EQ(request.http().path(), "/index.html");
  EXPECT_FALSE(request.has_dns());
  dns_event event = SampleDnsEvent();
  event.head.kind = L7_MALFORMED;
  const v1::Flow malformed = ToFlow(*Decode(EventSource::kDns, event));
  EXPECT_EQ(malformed.kind(), v1::FLOW_KIND_MALFORMED);
  EXPECT_TRUE(malformed.has_dns());
  EXPECT_FALSE(ToFlow(*Decode(EventSource::kFlows, testing::SampleEvent())).has_http());
}

}  // namespace
}  // namespace bonsai::report
