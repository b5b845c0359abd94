// SPDX-License-Identifier: Apache-2.0
// Events and metrics: what is told, how often, and that it is exact.
#include <arpa/inet.h>

#include <cstring>

#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

class Report : public DatapathTest {};
INSTANTIATE_FAMILIES(Report);

std::string Text(const uint8_t* address, bool v6) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(v6 ? AF_INET6 : AF_INET, address, text, sizeof(text));
  return text;
}

TEST_P(Report, EventHoldsThePacketAsItArrived) {
  Load(With({{"enable_conntrack", 1}, {"enable_load_balancer", 1}}));
  SetService(80, IPPROTO_TCP, {{net().backend, 8080}});
  timespec before = {};
  clock_gettime(CLOCK_MONOTONIC, &before);
  const Frame frame = Leaving(Tcp{1000, 80, kSyn}, net().service);
  ExpectPass(Out(frame));
  const flow_event event = LastEvent();
  EXPECT_GE(event.time_ns, before.tv_sec * 1'000'000'000ull + before.tv_nsec);
  EXPECT_EQ(event.packets, 1u);
  EXPECT_EQ(event.bytes, Build(frame).size());
  EXPECT_EQ(event.ifindex, kPodIfindex);
  EXPECT_EQ(event.src_identity, 0u);
  EXPECT_EQ(event.dst_identity, 0u);
  EXPECT_EQ(event.rule, 0u);
  EXPECT_EQ(event.reason, REASON_FORWARDED);
  EXPECT_EQ(event.hook, HOOK_FROM_POD);
  EXPECT_EQ(event.tcp_flags, kSyn);
  EXPECT_EQ(Text(event.saddr, v6()), net().pod);
  EXPECT_EQ(Text(event.daddr, v6()), net().service);
  EXPECT_EQ(Text(event.nat_addr, v6()), net().backend);
  EXPECT_EQ(ntohs(event.nat_port), 8080);
  EXPECT_EQ(event.pad, 0);
  EXPECT_EQ(event.pad2, 0);
  if (!v6()) {
    const uint8_t zeros[12] = {};
    EXPECT_EQ(std::memcmp(event.saddr + 4, zeros, 12), 0);
    EXPECT_EQ(std::memcmp(event.daddr + 4, zeros, 12), 0);
    EXPECT_EQ(std::memcmp(event.nat_addr + 4, zeros, 12), 0);
  }
}

TEST_P(Report, EachPacketIsToldOfOnlyIfAskedTo) {
  for (const uint64_t aggregation : {0, 1}) {
    Load(With({{"enable_conntrack", 1}, {"flow_aggregation", aggregation}}));
    OpenTcp(net().peer);
    std::vector<uint8_t> kinds;
    for (const flow_event& event : datapath().Events()) kinds.push_back(event.kind);
    if (aggregation)
      EXPECT_EQ(kinds, (std::vector<uint8_t>{FLOW_NEW}));
    else
      EXPECT_EQ(kinds, (std::vector<uint8_t>{FLOW_NEW, FLOW_PACKET, FLOW_PACKET}));
  }
}

TEST_P(Report, SamplingThinsEventsButNotDrops) {
  Load(With({{"flow_aggregation", 0}, {"flow_sampling", 1'000'000}}));
  for (int i = 0; i < 100; ++i) Out(Leaving(Tcp{1000, 80, kAck}));
  EXPECT_LT(EventCount(), 5u);
  Bytes broken = Build(Leaving(Tcp{1000, 80, kAck}));
  broken.pop_back();
  for (int i = 0; i < 100; ++i) datapath().Run("from_pod", broken);
  EXPECT_EQ(EventCount(), 100u);

  Load(With({{"flow_aggregation", 0}, {"flow_sampling", 4}}));
  datapath().Run("from_pod", Build(Leaving(Tcp{1000, 80, kAck})), kPodIfindex, 400);
  const size_t events = EventCount();
  EXPECT_GT(events, 40u);
  EXPECT_LT(events, 200u);
}

TEST_P(Report, MetricsCountPacketsAndBytesByHookAndReason) {
  Load(With({{"enable_flow_events", 0}}));
  const size_t size = Build(Leaving(Tcp{})).size();
  for (int i = 0; i < 3; ++i) Out(Leaving(Tcp{1000, 80, kAck}));
  In(Entering(Tcp{1000, 80, kAck}));
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 3u);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).bytes, 3 * size);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_TO_POD).packets, 1u);
  EXPECT_EQ(datapath().Metrics(DROP_INVALID, HOOK_FROM_POD).packets, 0u);
  EXPECT_EQ(EventCount(), 0u);
}

TEST_P(Report, EveryPacketIsCountedOnceOnItsLongWay) {
  Load(With({{"enable_conntrack", 1}, {"enable_load_balancer", 1}, {"enable_policy", 1}}));
  SetService(80, IPPROTO_TCP, {{net().backend, 8080}});
  Out(Leaving(Tcp{1000, 80, kSyn}, net().service));
  uint64_t packets = 0;
  for (int reason = 0; reason < REASON_COUNT; ++reason) {
    for (int hook = 0; hook < HOOK_COUNT; ++hook)
      packets += datapath()
                     .Metrics(static_cast<bonsai_reason>(reason), static_cast<bonsai_hook>(hook))
                     .packets;
  }
  EXPECT_EQ(packets, 1u);
  EXPECT_EQ(EventCount(), 1u);
}

TEST_P(Report, OffCountsNothing) {
  Load(With({{"enable_datapath_metrics", 0}, {"enable_flow_events", 0}}));
  ExpectPass(Out(Leaving(Tcp{1000, 80, kAck})));
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 0u);
}

// The ring buffer is full: the packet must go its way all the same.
TEST_P(Report, FullRingBufferLosesEventsNotPackets) {
  Load(With({{"flow_aggregation", 0}}));
  const RunResult result =
      datapath().Run("from_pod", Build(Leaving(Tcp{1000, 80, kAck})), kPodIfindex, 2000);
  EXPECT_EQ(result.verdict, kPass);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 2000u);
  EXPECT_LT(EventCount(), 2000u);
}

}  // namespace
}  // namespace bonsai::testing
