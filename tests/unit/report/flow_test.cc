// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "agent/report/flow_decode.h"
#include "agent/report/flow_hub.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using std::chrono::milliseconds;
using testing::Ip;
using testing::SampleEvent;

Flow DecodeWith(const Publisher& publisher, const flow_event& event) {
  FlowDecoder decoder(publisher);
  auto flow = decoder.Decode(EventSource::kFlows, &event, sizeof(event));
  EXPECT_TRUE(flow.ok()) << flow.status();
  return flow.ok() ? *std::move(flow) : Flow();
}

Flow DecodeSample(const flow_event& event) {
  Publisher publisher;
  publisher.Publish(testing::SampleSnapshot());
  return DecodeWith(publisher, event);
}

Flow Numbered(uint64_t number, bool drop = false) {
  Flow flow;
  flow.bytes = number;
  flow.is_drop = drop;
  return flow;
}

TEST(FlowDecoder, NamesPodsServicesDevicesAndPolicies) {
  const Flow flow = DecodeSample(SampleEvent());
  EXPECT_EQ(flow.reason, "policy-denied");
  EXPECT_TRUE(flow.is_drop);
  EXPECT_EQ(flow.hook, "from-pod");
  EXPECT_EQ(flow.device, "veth-client");
  EXPECT_EQ(flow.source.pod, "default/client");
  EXPECT_EQ(flow.source.port, 34567);
  EXPECT_EQ(flow.destination.service, "default/web:http");
  EXPECT_EQ(flow.destination.pod, "");
  ASSERT_TRUE(flow.backend.has_value());
  EXPECT_EQ(flow.backend->pod, "default/web-1");
  EXPECT_EQ(flow.backend->port, 8080);
  EXPECT_EQ(flow.policy, "default/client");
}

TEST(FlowDecoder, WallTimeOfAFreshEventIsNow) {
  const Flow flow = DecodeSample(SampleEvent());
  EXPECT_LT(std::chrono::abs(std::chrono::system_clock::now() - flow.time), std::chrono::seconds(5));
}

TEST(FlowDecoder, FollowsTheSnapshot) {
  Publisher publisher;
  FlowDecoder decoder(publisher);
  const flow_event event = SampleEvent();
  EXPECT_EQ(decoder.Decode(EventSource::kFlows, &event, sizeof(event))->source.pod, "");
  publisher.Publish(testing::SampleSnapshot());
  EXPECT_EQ(decoder.Decode(EventSource::kFlows, &event, sizeof(event))->source.pod, "default/client");
}

TEST(FlowDecoder, ReadsTypeAndCodeOfIcmp) {
  flow_event event = SampleEvent();
  event.protocol = IPPROTO_ICMP;
  event.sport = htons(0x0301);
  const Flow flow = DecodeSample(event);
  EXPECT_EQ(flow.icmp_type, 3);
  EXPECT_EQ(flow.icmp_code, 1);
  EXPECT_EQ(flow.source.port, 0);
  EXPECT_EQ(flow.tcp_flags, 0);
}

TEST(FlowDecoder, PrefilterRuleIsNoPolicyRule) {
  flow_event event = SampleEvent();
  event.reason = DROP_PREFILTER;
  EXPECT_EQ(DecodeSample(event).policy, "");
}

TEST(FlowDecoder, RefusesShortAndForeignRecords) {
  Publisher publisher;
  FlowDecoder decoder(publisher);
  flow_event event = SampleEvent();
  const auto code = [&](size_t size) {
    return decoder.Decode(EventSource::kFlows, &event, size).status().code();
  };
  EXPECT_EQ(code(sizeof(event) - 1), absl::StatusCode::kInternal);
  event.family = 7;
  EXPECT_EQ(code(sizeof(event)), absl::StatusCode::kInternal);
}

TEST(FlowFilter, MatchesPodByFullOrShortName) {
  const Flow flow = DecodeSample(SampleEvent());
  EXPECT_TRUE(FlowFilter{.pod = "default/client"}.Matches(flow));
  EXPECT_TRUE(FlowFilter{.pod = "client"}.Matches(flow));
  EXPECT_FALSE(FlowFilter{.pod = "other/client"}.Matches(flow));
  EXPECT_FALSE(FlowFilter{.pod = "lient"}.Matches(flow));
}

TEST(FlowFilter, MatchesAddressOfEitherEndAndBackend) {
  const Flow flow = DecodeSample(SampleEvent());
  const auto matches = [&](const char* cidr) {
    return FlowFilter{.cidr = tables::ParseCidr(cidr)}.Matches(flow);
  };
  EXPECT_TRUE(matches("10.0.1.2"));
  EXPECT_TRUE(matches("10.96.0.0/16"));
  EXPECT_TRUE(matches("10.0.1.3"));
  EXPECT_FALSE(matches("10.0.1.4"));
  EXPECT_FALSE(matches("fd00::/8"));
}

TEST(FlowFilter, DropsOnly) {
  EXPECT_TRUE(FlowFilter{.drops_only = true}.Matches(Numbered(1, true)));
  EXPECT_FALSE(FlowFilter{.drops_only = true}.Matches(Numbered(1, false)));
}

TEST(FlowHub, KeepsTheLastFlowsForLateReaders) {
  FlowHub hub({.kept = 3});
  for (int i = 1; i <= 5; ++i) hub.Push(Numbered(i));
  auto all = hub.Subscribe({}, 10);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ((*all)->backlog().size(), 3u);
  EXPECT_EQ((*all)->backlog().front()->bytes, 3u);
  auto two = hub.Subscribe({}, 2);
  ASSERT_EQ((*two)->backlog().size(), 2u);
  EXPECT_EQ((*two)->backlog().front()->bytes, 4u);
  EXPECT_EQ(hub.received(), 5u);
}

TEST(FlowHub, Layer7DoesNotPushOutFlowsAndTheOrderIsThatOfArrival) {
  FlowHub hub({.kept = 3});
  const auto push = [&](uint64_t number, uint8_t l7_kind) {
    Flow flow = Numbered(number, l7_kind == 0);
    flow.l7_kind = l7_kind;
    hub.Push(std::move(flow));
  };
  push(1, 0);
  for (uint64_t number = 2; number <= 9; ++number) push(number, 1);
  push(10, 0);
  push(11, 1);
  const auto numbers = [&](FlowFilter filter, size_t last) {
    std::vector<uint64_t> seen;
    const auto reader = hub.Subscribe(std::move(filter), last);
    for (const auto& flow : (*reader)->backlog()) seen.push_back(flow->bytes);
    return seen;
  };
  EXPECT_EQ(numbers({}, 10), (std::vector<uint64_t>{1, 8, 9, 10, 11}));
  EXPECT_EQ(numbers({}, 2), (std::vector<uint64_t>{10, 11}));
  EXPECT_EQ(numbers({.drops_only = true}, 10), (std::vector<uint64_t>{1, 10}));
}

TEST(FlowHub, GivesNewMatchingFlowsInOrder) {
  FlowHub hub;
  auto reader = hub.Subscribe({.drops_only = true}, 0);
  ASSERT_TRUE(reader.ok());
  hub.Push(Numbered(1, false));
  hub.Push(Numbered(2, true));
  hub.Push(Numbered(3, true));
  EXPECT_EQ((*reader)->Next(milliseconds(0)).flow->bytes, 2u);
  EXPECT_EQ((*reader)->Next(milliseconds(0)).flow->bytes, 3u);
  EXPECT_EQ((*reader)->Next(milliseconds(0)).flow, nullptr);
}

TEST(FlowHub, SlowReaderLosesTheOldestAndLearnsHowMany) {
  FlowHub hub({.queue = 2});
  auto reader = hub.Subscribe({}, 0);
  ASSERT_TRUE(reader.ok());
  for (int i = 1; i <= 5; ++i) hub.Push(Numbered(i));
  const auto item = (*reader)->Next(milliseconds(0));
  EXPECT_EQ(item.flow->bytes, 4u);
  EXPECT_EQ(item.lost, 3u);
  EXPECT_EQ((*reader)->Next(milliseconds(0)).lost, 0u);
  EXPECT_EQ(hub.lost(), 3u);
}

TEST(FlowHub, RefusesTooManyReadersUntilOneLeaves) {
  FlowHub hub({.subscriptions = 1});
  {
    auto first = hub.Subscribe({}, 0);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(hub.Subscribe({}, 0).status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_TRUE(hub.Subscribe({}, 0).ok());
}

TEST(FlowHub, NoFlowIsMissedOrDoubledByReadersThatComeMeanwhile) {
  constexpr uint64_t kFlows = 20000;
  FlowHub hub({.kept = kFlows, .queue = kFlows});
  std::jthread writer([&] {
    for (uint64_t i = 0; i < kFlows; ++i) hub.Push(Numbered(i));
  });
  auto reader = hub.Subscribe({}, kFlows);
  ASSERT_TRUE(reader.ok());
  uint64_t next = 0;
  for (const auto& flow : (*reader)->backlog()) ASSERT_EQ(flow->bytes, next++);
  while (next < kFlows) {
    const auto item = (*reader)->Next(std::chrono::seconds(10));
    ASSERT_NE(item.flow, nullptr);
    ASSERT_EQ(item.flow->bytes, next++);
  }
}

}  // namespace
}  // namespace bonsai::report
