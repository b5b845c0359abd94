// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/datapath/http_fixture.h"

namespace bonsai::testing {
namespace {

class Http : public HttpTest {};
INSTANTIATE_FAMILIES(Http);

HttpSeen Request(const std::string& method, const std::string& path, const std::string& host = "",
                 int minor = 1) {
  return {.kind = L7_REQUEST, .method = method, .path = path, .host = host, .minor = minor};
}

HttpSeen Cut(HttpSeen seen) {
  seen.path_cut = true;
  return seen;
}

const HttpSeen kMalformed = {.kind = L7_MALFORMED};
constexpr Way kAnswer = {.to_server = false, .from_pod = false};

TEST_P(Http, TellsWhoAskedWhomForWhat) {
  Send(kGet);
  const auto event = Told();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(ToSeen(*event), Request("GET", "/index.html", "web.example"));
  const l7_head& head = event->head;
  EXPECT_EQ(head.family, GetParam());
  EXPECT_EQ(head.protocol, IPPROTO_TCP);
  EXPECT_EQ(head.hook, HOOK_FROM_POD);
  EXPECT_EQ(head.ifindex, kPodIfindex);
  EXPECT_EQ(ntohs(head.sport), kClientPort);
  EXPECT_EQ(ntohs(head.dport), 80);
  EXPECT_EQ(head.pad, 0u);
  EXPECT_NE(head.time_ns, 0u);
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(v6() ? AF_INET6 : AF_INET, head.saddr, text, sizeof(text));
  EXPECT_EQ(text, net().pod);
  inet_ntop(v6() ? AF_INET6 : AF_INET, head.daddr, text, sizeof(text));
  EXPECT_EQ(text, net().peer);
  EXPECT_EQ(Counter(HTTP_GET), 1u);
}

TEST_P(Http, SeesClientAndServerPodsAtBothHooks) {
  for (const Way way : kWays) {
    Send(way.to_server ? kGet : "HTTP/1.1 200 OK\r\n\r\n", way);
    const auto event = Told();
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->head.hook, way.hook());
    EXPECT_EQ(event->head.kind, way.to_server ? L7_REQUEST : L7_RESPONSE);
  }
  EXPECT_EQ(Counter(HTTP_GET), 2u);
  EXPECT_EQ(Counter(HTTP_CLASS_FIRST + 1), 2u);
}

TEST_P(Http, LooksOnlyAtItsPortsAndOnlyThatWay) {
  const Way out;
  Send(Segment(kGet, out, 81), out);
  EXPECT_EQ(Told(), std::nullopt);
  Send(Segment(kGet, out, 8080), out);
  EXPECT_NE(Told(), std::nullopt);
  SetPorts({});
  EXPECT_EQ(Seen(kGet), std::nullopt);
  SetPorts({65535, 81});
  Send(Segment(kGet, out, 65535), out);
  EXPECT_NE(Told(), std::nullopt);
  // A server does not ask, a client does not answer.
  SetPorts({80});
  EXPECT_EQ(Seen(kGet, kAnswer), std::nullopt);
  EXPECT_EQ(Seen("HTTP/1.1 200 OK\r\n\r\n"), std::nullopt);
  EXPECT_EQ(Seen("HTTP/1.1 broken\r\n\r\n"), std::nullopt);
  // Both ends have a port of the list: both may be meant.
  SetPorts({80, kClientPort});
  EXPECT_NE(Seen(kGet, kAnswer), std::nullopt);
  EXPECT_NE(Seen("HTTP/1.1 200 OK\r\n\r\n"), std::nullopt);
}

TEST_P(Http, OtherProtocolsAndFragmentsAreNotLookedAt) {
  Frame udp = Segment(kGet, {});
  udp.l4 = Udp{kClientPort, 80};
  Send(udp, {});
  EXPECT_EQ(Told(), std::nullopt);
  Frame fragment = Segment(kGet, {});
  fragment.more_fragments = true;
  fragment.fragment_header = v6();
  Out(fragment);
  EXPECT_EQ(Told(), std::nullopt);
}

TEST_P(Http, KnowsMethodsAndCountsEach) {
  const std::vector<std::pair<std::string, uint32_t>> methods = {
      {"GET", HTTP_GET},         {"HEAD", HTTP_HEAD},       {"POST", HTTP_POST},
      {"PUT", HTTP_PUT},         {"DELETE", HTTP_DELETE},   {"CONNECT", HTTP_CONNECT},
      {"OPTIONS", HTTP_OPTIONS}, {"TRACE", HTTP_TRACE},     {"PATCH", HTTP_PATCH}};
  for (const auto& [method, slot] : methods) {
    EXPECT_EQ(Seen(method + " / HTTP/1.1\r\n\r\n"), Request(method, "/"));
    EXPECT_EQ(Counter(slot), 1u) << method;
  }
  EXPECT_EQ(Counter(HTTP_OTHER), 0u);
  int others = 0;
  for (const std::string method : {"PROPFIND", "get", "GETT", "M-SEARCH", "a", "!#$%&'*+-.^_`|~9",
                                   "VERSION-CONTROL"}) {
    EXPECT_EQ(Seen(method + " / HTTP/1.0\n\n"), Request("other", "/", "", 0)) << method;
    EXPECT_EQ(Counter(HTTP_OTHER), ++others + 0u);
  }
  const std::string longest(32, 'M');
  EXPECT_EQ(Seen(longest + " / HTTP/1.1\r\n"), Request("other", "/"));
  EXPECT_EQ(Seen("M" + longest + " / HTTP/1.1\r\n"), std::nullopt);
  EXPECT_EQ(Seen("ME(HOD / HTTP/1.1\r\n"), std::nullopt);
}

TEST_P(Http, TakesTargetsAsTheyAre) {
  for (const std::string target :
       {"*", "/", "http://web.example/a?b#c", "web.example:443", "/%00%zz\"<>\\^`{|}", "//", "a",
        "/\x80\xc3\xa9\xff"}) {
    EXPECT_EQ(Seen("GET " + target + " HTTP/1.1\r\n\r\n"), Request("GET", target));
  }
}

TEST_P(Http, PathsAndHostsHaveRoomForSoMuch) {
  for (const size_t length : {1, 255, 256, 257, 500, 900}) {
    const std::string path = "/" + std::string(length - 1, 'p');
    HttpSeen wanted = Request("GET", path.substr(0, 256), "h");
    wanted.path_cut = length > 256;
    EXPECT_EQ(Seen("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"), wanted) << length;
  }
  for (const size_t length : {1, 127, 128, 129, 300}) {
    const std::string host(length, 'h');
    HttpSeen wanted = Request("GET", "/", host.substr(0, 128));
    wanted.host_cut = length > 128;
    EXPECT_EQ(Seen("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), wanted) << length;
  }
}

TEST_P(Http, FindsHostHoweverItIsWritten) {
  const auto host = [this](const std::string& headers) {
    const auto seen = Seen("GET / HTTP/1.1\r\n" + headers);
    EXPECT_TRUE(seen.has_value()) << headers;
    return seen ? seen->host + (seen->host_cut ? " cut" : "") : "";
  };
  EXPECT_EQ(host("Host: a\r\n\r\n"), "a");
  EXPECT_EQ(host("HOST:a\n\n"), "a");
  EXPECT_EQ(host("hOsT: \t  a b\t \r\n\r\n"), "a b");
  EXPECT_EQ(host("X: 1\r\nY: Host: no\r\nXHost: no\r\nHostX: no\r\nhost: yes\r\n\r\n"), "yes");
  EXPECT_EQ(host("Host : no\r\n Host: no\r\nHost\x1a: no\r\n\r\n"), "");
  EXPECT_EQ(host("Host: first\r\nHost: second\r\n\r\n"), "first");
  EXPECT_EQ(host("Host:\r\nHost: second\r\n\r\n"), "");
  EXPECT_EQ(host("X: 1\r\n\r\nHost: body\r\n"), "");
  EXPECT_EQ(host("X: 1\n\nHost: body\n"), "");
  EXPECT_EQ(host("\r\nHost: body\r\n"), "");
  EXPECT_EQ(host("X: 1\r\n"), "");
  EXPECT_EQ(host("Host: cut"), "cut cut");
  EXPECT_EQ(host("Host:"), " cut");
  EXPECT_EQ(host("Hos"), "");
  EXPECT_EQ(host("Host: \x1b[31m\x80\r\n"), "\x1b[31m\x80");
}

TEST_P(Http, FindsHostBehindManyHeadersWithinWhatIsRead) {
  std::string headers;
  for (int i = 0; headers.size() < 900; ++i) headers += "X-" + std::to_string(i) + ": value\r\n";
  const std::string head = "GET / HTTP/1.1\r\n" + headers;
  EXPECT_EQ(Seen(head + "Host: far\r\n\r\n"), Request("GET", "/", "far"));
  // The line feed is the last byte read, then the first one that is not.
  std::string full = "GET / HTTP/1.1\r\nX: ";
  full += std::string(1024 - 7 - full.size() - 1, 'x') + "\n";
  ASSERT_EQ(full.size() + 7, 1024u);
  EXPECT_EQ(Seen(full + "Host:a\nmore"), Request("GET", "/", "a"));
  HttpSeen cut = Request("GET", "/", "ab");
  cut.host_cut = true;
  EXPECT_EQ(Seen(full + "Host:ab\nmore"), cut);
  EXPECT_EQ(Seen(full + "X: 1234567890\r\nHost: beyond\r\n\r\n"), Request("GET", "/"));
}

TEST_P(Http, LinesThatTheSegmentCutsShort) {
  EXPECT_EQ(Seen("GET /abc"), Cut(Request("GET", "/abc", "", 0)));
  EXPECT_EQ(Seen("GET /abc HT"), Cut(Request("GET", "/abc", "", 0)));
  EXPECT_EQ(Seen("GET /abc HTTP/1."), Cut(Request("GET", "/abc", "", 0)));
  EXPECT_EQ(Seen("GET /abc HTTP/1.1"), Request("GET", "/abc"));
  EXPECT_EQ(Seen("GET /abc HTTP/1.1\r"), Request("GET", "/abc"));
  EXPECT_EQ(Seen("PROPFIND /abc HTTP/1."), std::nullopt);  // may be any text
  EXPECT_EQ(Seen("PROPFIND /abc HTTP/1.1"), Request("other", "/abc"));
  EXPECT_EQ(Seen("POST " + std::string(1400, '/')),
            Cut(Request("POST", std::string(256, '/'), "", 0)));
  EXPECT_EQ(Seen("GET /ab"), std::nullopt);  // less than is looked at
}

TEST_P(Http, EveryPrefixOfARequestIsJudgedByTheRules) {
  const std::string whole = kGet;
  for (size_t length = 0; length <= whole.size(); ++length) {
    const std::string part = whole.substr(0, length);
    EXPECT_EQ(Seen(part), JudgeHttp(part, true, false)) << length;
  }
}

TEST_P(Http, ResponsesByStatusAndClass) {
  const auto status = [](int number, int minor = 1) {
    return HttpSeen{.kind = L7_RESPONSE, .status = number, .minor = minor};
  };
  EXPECT_EQ(Seen("HTTP/1.1 100 Continue\r\n\r\n", kAnswer), status(100));
  EXPECT_EQ(Seen("HTTP/1.0 200 OK\r\n\r\n", kAnswer), status(200, 0));
  EXPECT_EQ(Seen("HTTP/1.1 301 Moved\r\n", kAnswer), status(301));
  EXPECT_EQ(Seen("HTTP/1.1 404\r\n", kAnswer), status(404));
  EXPECT_EQ(Seen("HTTP/1.1 502\n", kAnswer), status(502));
  EXPECT_EQ(Seen("HTTP/1.1 999", kAnswer), status(999));
  for (uint32_t hundreds = 1; hundreds <= 4; ++hundreds) {
    EXPECT_EQ(Counter(HTTP_CLASS_FIRST + hundreds - 1), 1u) << hundreds;
  }
  EXPECT_EQ(Counter(HTTP_CLASS_FIRST + 4), 2u);  // 999 as clients take it
  EXPECT_EQ(Counter(HTTP_MALFORMED), 0u);
}

TEST_P(Http, MalformedIsWhatSaysHttpAndIsNot) {
  uint64_t malformed = 0;
  for (const std::string text :
       {"GET  / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "GET / HTTP/1.x\r\n", "GET / HTTP/1.11\r\n",
        "GET / / HTTP/1.1\r\n", "GET HTTP/1.1\r\n", "POST /\x01 HTTP/1.1\r\n",
        "PUT /\x7f HTTP/1.1\r\n", "GET /\t HTTP/1.1\r\n", "GET / HTTP/1.1\rX\n",
        "DELETE /x HTTP/1.\r\n"}) {
    EXPECT_EQ(Seen(text), kMalformed) << text;
    EXPECT_EQ(Counter(HTTP_MALFORMED), ++malformed);
  }
  for (const std::string text :
       {"HTTP/1.x 200 OK\r\n", "HTTP/1.1200 OK\r\n", "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 099 OK\r\n", "HTTP/1.1  200 OK\r\n", "HTTP/1.1\r\n\r\n"}) {
    EXPECT_EQ(Seen(text, kAnswer), kMalformed) << text;
    EXPECT_EQ(Counter(HTTP_MALFORMED), ++malformed);
  }
}

TEST_P(Http, WhatIsNoHttp1IsNotCounted) {
  const std::string tls("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  for (const std::string& text :
       {tls, std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("GET / HTTP/2.0\r\n"),
        std::string("GET /old\r\n"), std::string("The quick brown fox, see HTTP/1.1 ...\r\n"),
        std::string("{\"json\": 1}"), std::string("user=a&password=b"), std::string(1000, '\0'),
        std::string(1000, 'x'), std::string(1400, ' '), std::string("GET me some\r\n HTTP/1.1\r\n"),
        std::string("5\r\nhello\r\n0\r\n\r\n"), std::string("GET ")}) {
    EXPECT_EQ(Seen(text), std::nullopt) << text;
    EXPECT_EQ(Seen(text, kAnswer), std::nullopt) << text;
  }
  EXPECT_EQ(Seen("HTTP/2 200\r\n\r\n", kAnswer), std::nullopt);
  EXPECT_EQ(Seen("HTTP/1.", kAnswer), std::nullopt);
  EXPECT_EQ(Seen("HTTP/1.1 20", kAnswer), std::nullopt);
  for (uint32_t slot = 0; slot < HTTP_COUNTERS; ++slot) EXPECT_EQ(Counter(slot), 0u) << slot;
}

TEST_P(Http, OfSeveralMessagesInASegmentTheFirst) {
  EXPECT_EQ(Seen("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nHost: second\r\n\r\n"),
            Request("GET", "/1"));
  EXPECT_EQ(Counter(HTTP_GET), 1u);
}

TEST_P(Http, NothingOfAnEarlierSegmentIsLeftInAnEvent) {
  Send("DELETE /" + std::string(200, 'q') + " HTTP/1.1\r\nHost: " + std::string(90, 'z') + "\r\n\r\n");
  ASSERT_TRUE(Told().has_value());
  Send("GET / HTTP/1.0\r\n\r\n");
  const auto event = Told();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(std::all_of(event->path + 1, std::end(event->path), [](auto b) { return b == 0; }));
  EXPECT_TRUE(std::all_of(event->host, std::end(event->host), [](auto b) { return b == 0; }));
  EXPECT_EQ(event->flags, 0);
}

TEST_P(Http, TcpOptionsIpOptionsAndPaddingAreNotPayload) {
  Frame frame = Segment("GET /abcd", {});
  frame.padding = 30;
  if (!v6()) frame.ip_options = 40;
  if (v6()) frame.extensions = {0, 60};
  Send(frame, {});
  const auto event = Told();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(ToSeen(*event), Cut(Request("GET", "/abcd", "", 0)));
}

TEST_P(Http, CountsAlsoWhatTheRingHasNoRoomFor) {
  constexpr uint64_t kRequests = 400;  // more than 64 KiB of events
  for (uint64_t i = 0; i < kRequests; ++i) Send(kGet);
  const size_t told = Events().size();
  EXPECT_EQ(Counter(HTTP_GET), kRequests);
  EXPECT_GT(told, 0u);
  EXPECT_LT(told, kRequests);
  EXPECT_EQ(Counter(HTTP_LOST), kRequests - told);
}

TEST_P(Http, FlowsAndMetricsAreToldOnceAndAsWithoutIt) {
  LoadHttp({{"flow_aggregation", 0}});
  Send(kGet);
  EXPECT_EQ(EventCount(), 1u);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 1u);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).bytes,
            Build(Segment(kGet, {})).size());
}

TEST_P(Http, WhatIsDroppedIsNotLookedAt) {
  LoadHttp({{"enable_conntrack", 1}, {"enable_policy", 1}});
  SetEndpoint(ENDPOINT_ENFORCE_EGRESS);
  const RunResult result = Out(Segment(kGet, {}));
  EXPECT_EQ(result.verdict, kShot);
  EXPECT_EQ(Told(), std::nullopt);
  EXPECT_EQ(Counter(HTTP_GET), 0u);
}

TEST_P(Http, PassesWhenTheStageIsMissing) {
  DatapathConfig config{.constants = With({{"enable_http_visibility", 1}})};
  config.empty_slots = {"fp_http", "tp_http"};
  Load(config);
  SetPorts({80});
  for (const Way way : kWays) Send(kGet, way);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 2u);
}

// To a service the target port counts; the client sees the answer come from the service.
TEST_P(Http, ServicesByTheirTargetPort) {
  LoadHttp({{"enable_conntrack", 1}, {"enable_load_balancer", 1}});
  SetService(9000, IPPROTO_TCP, {{net().backend, 8080}});
  Frame ask = Segment(kGet, {}, 9000);
  ask.dst = net().service;
  for (int packet = 0; packet < 2; ++packet) {  // through the balancer, then established
    EXPECT_EQ(Out(ask).verdict, kPass);
    const auto event = Told();
    ASSERT_TRUE(event.has_value()) << packet;
    EXPECT_EQ(event->head.kind, L7_REQUEST);
    EXPECT_EQ(ntohs(event->head.dport), 8080);
    Frame answer = Segment("HTTP/1.1 200 OK\r\n\r\n", kAnswer, 8080);
    answer.src = net().backend;
    EXPECT_EQ(In(answer).verdict, kPass);
    const auto back = Told();
    ASSERT_TRUE(back.has_value()) << packet;
    EXPECT_EQ(back->head.kind, L7_RESPONSE);
    EXPECT_EQ(ntohs(back->head.sport), 9000);
  }
}

}  // namespace
}  // namespace bonsai::testing
