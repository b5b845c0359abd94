// SPDX-License-Identifier: Apache-2.0
// Connections: life cycle, expiry, counters, close events.
#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

constexpr uint64_t kHz = 250;
constexpr uint64_t kTcp = 8000 * kHz;
constexpr uint64_t kSynTimeout = 60 * kHz;
constexpr uint64_t kClose = 10 * kHz;
constexpr uint64_t kAny = 60 * kHz;

class Conntrack : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (!IsSkipped()) Load(With({{"enable_conntrack", 1}}));
  }
  ct_entry Tcp1000() { return Entry(net().peer, 1000, 80, IPPROTO_TCP).value_or(ct_entry{}); }
  // Ticks since boot, as the kernel counts them: from a flow that was made just now.
  uint64_t Now() {
    DropEntry(net().other, 9, 9, IPPROTO_UDP);
    Out(Leaving(Udp{9, 9}, net().other));
    const uint64_t now = Entry(net().other, 9, 9, IPPROTO_UDP).value().expires - kAny;
    DropEntry(net().other, 9, 9, IPPROTO_UDP);
    datapath().Events();
    return now;
  }
  void ExpectLifetime(const ct_entry& entry, uint64_t ticks) {
    EXPECT_NEAR(static_cast<double>(entry.expires - Now()), static_cast<double>(ticks), 2 * kHz);
  }
};
INSTANTIATE_FAMILIES(Conntrack);

TEST_P(Conntrack, TcpHandshakeEstablishes) {
  ExpectPass(Out(Leaving(Tcp{1000, 80, kSyn})));
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_NEW);
  EXPECT_EQ(event.hook, HOOK_FROM_POD);
  EXPECT_EQ(Tcp1000().flags, CT_OPENED_BY_POD);
  ExpectLifetime(Tcp1000(), kSynTimeout);

  ExpectPass(In(Entering(Tcp{80, 1000, kSyn | kAck})));
  EXPECT_EQ(Tcp1000().flags, CT_OPENED_BY_POD | CT_SEEN_REPLY);
  ExpectPass(Out(Leaving(Tcp{1000, 80, kAck})));
  EXPECT_EQ(Tcp1000().flags, CT_OPENED_BY_POD | CT_SEEN_REPLY | CT_ESTABLISHED);
  ExpectLifetime(Tcp1000(), kTcp);
  EXPECT_EQ(EventCount(), 0u) << "an established connection is told of once";
  EXPECT_EQ(Entries(), 1u);
}

TEST_P(Conntrack, PeerOpensConnections) {
  ExpectPass(In(Entering(Tcp{5000, 80, kSyn})));
  EXPECT_EQ(LastEvent().hook, HOOK_TO_POD);
  EXPECT_EQ(Entry(net().peer, 80, 5000, IPPROTO_TCP).value().flags, 0);
  ExpectPass(Out(Leaving(Tcp{80, 5000, kSyn | kAck})));
  ExpectPass(In(Entering(Tcp{5000, 80, kAck})));
  EXPECT_EQ(Entry(net().peer, 80, 5000, IPPROTO_TCP).value().flags,
            CT_SEEN_REPLY | CT_ESTABLISHED);
}

TEST_P(Conntrack, BothFinsCloseOnceAndTellTheTotals) {
  OpenTcp(net().peer);
  datapath().Events();
  ExpectPass(Out(Leaving(Tcp{1000, 80, kFin | kAck})));
  EXPECT_TRUE(Tcp1000().flags & CT_FIN_FROM_POD);
  EXPECT_EQ(EventCount(), 0u);
  ExpectPass(In(Entering(Tcp{80, 1000, kFin | kAck})));
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_CLOSE);
  EXPECT_EQ(event.packets, 5u);
  EXPECT_EQ(event.bytes, 5 * Build(Leaving(Tcp{})).size());
  ExpectLifetime(Tcp1000(), kClose);
  ExpectPass(Out(Leaving(Tcp{1000, 80, kAck})));
  ExpectPass(In(Entering(Tcp{80, 1000, kFin | kAck})));
  EXPECT_EQ(EventCount(), 0u) << "closed once";
  ExpectLifetime(Tcp1000(), kClose);
}

TEST_P(Conntrack, ResetCloses) {
  OpenTcp(net().peer);
  datapath().Events();
  ExpectPass(In(Entering(Tcp{80, 1000, kRst})));
  EXPECT_EQ(LastEvent().kind, FLOW_CLOSE);
  EXPECT_TRUE(Tcp1000().flags & CT_RST);
  ExpectLifetime(Tcp1000(), kClose);
}

TEST_P(Conntrack, SynOnClosedEntryIsANewConnection) {
  OpenTcp(net().peer);
  In(Entering(Tcp{80, 1000, kRst}));
  datapath().Events();
  ExpectPass(In(Entering(Tcp{80, 1000, kSyn})));
  EXPECT_EQ(LastEvent().kind, FLOW_NEW);
  EXPECT_EQ(Tcp1000().flags, 0) << "opened by the peer this time";
  EXPECT_EQ(Tcp1000().packets[0], 0u);
  EXPECT_EQ(Tcp1000().packets[1], 1u);
}

TEST_P(Conntrack, SynOnLiveEntryBelongsToIt) {
  OpenTcp(net().peer);
  datapath().Events();
  ExpectPass(Out(Leaving(Tcp{1000, 80, kSyn})));
  EXPECT_EQ(EventCount(), 0u);
  EXPECT_TRUE(Tcp1000().flags & CT_ESTABLISHED);
}

TEST_P(Conntrack, PicksUpConnectionsInMidStream) {
  ExpectPass(Out(Leaving(Tcp{1000, 80, kAck})));
  EXPECT_EQ(LastEvent().kind, FLOW_NEW);
  ExpectPass(In(Entering(Tcp{80, 1000, kAck})));
  EXPECT_TRUE(Tcp1000().flags & CT_ESTABLISHED);
}

TEST_P(Conntrack, UdpIsEstablishedByTheReply) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  EXPECT_EQ(Entry(net().peer, 1000, 53, IPPROTO_UDP).value().flags, CT_OPENED_BY_POD);
  ExpectPass(In(Entering(Udp{53, 1000})));
  const ct_entry entry = Entry(net().peer, 1000, 53, IPPROTO_UDP).value();
  EXPECT_EQ(entry.flags, CT_OPENED_BY_POD | CT_SEEN_REPLY | CT_ESTABLISHED);
  ExpectLifetime(entry, kAny);
}

TEST_P(Conntrack, EchoStandsUnderTheIdentifierOfTheSideThatAsked) {
  const uint8_t protocol = icmp();
  const uint8_t request = v6() ? 128 : 8;
  const uint8_t reply = v6() ? 129 : 0;
  ExpectPass(Out(Leaving(Icmp{request, 0, 77})));
  ExpectPass(In(Entering(Icmp{reply, 0, 77})));
  EXPECT_TRUE(Entry(net().peer, 77, 0, protocol).value().flags & CT_SEEN_REPLY);
  ExpectPass(In(Entering(Icmp{request, 0, 77})));
  ExpectPass(Out(Leaving(Icmp{reply, 0, 77})));
  EXPECT_TRUE(Entry(net().peer, 0, 77, protocol).value().flags & CT_SEEN_REPLY);
  EXPECT_EQ(Entries(), 2u);
}

TEST_P(Conntrack, ExpiryMovesBySecondsOnly) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  ct_entry entry = Entry(net().peer, 1000, 53, IPPROTO_UDP).value();
  const uint64_t fresh = entry.expires;
  entry.expires = fresh - kHz / 2;
  SetEntry(net().peer, 1000, 53, IPPROTO_UDP, entry);
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  EXPECT_EQ(Entry(net().peer, 1000, 53, IPPROTO_UDP).value().expires, fresh - kHz / 2);
  entry.expires = fresh - 2 * kHz;
  SetEntry(net().peer, 1000, 53, IPPROTO_UDP, entry);
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  EXPECT_GE(Entry(net().peer, 1000, 53, IPPROTO_UDP).value().expires, fresh);
}

TEST_P(Conntrack, ExpiredEntryIsNoConnection) {
  OpenTcp(net().peer);
  ct_entry entry = Tcp1000();
  entry.expires = Now() - 1;
  SetEntry(net().peer, 1000, 80, IPPROTO_TCP, entry);
  ExpectPass(In(Entering(Tcp{80, 1000, kAck})));
  EXPECT_EQ(LastEvent().kind, FLOW_NEW);
  EXPECT_EQ(Tcp1000().flags, 0);
}

TEST_P(Conntrack, CountsPacketsAndBytesByDirection) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  Frame reply = Entering(Udp{53, 1000});
  reply.payload = Bytes(100, 1);
  ExpectPass(In(reply));
  const ct_entry entry = Entry(net().peer, 1000, 53, IPPROTO_UDP).value();
  EXPECT_EQ(entry.packets[0], 2u);
  EXPECT_EQ(entry.packets[1], 1u);
  EXPECT_EQ(entry.bytes[0], 2 * Build(Leaving(Udp{})).size());
  EXPECT_EQ(entry.bytes[1], Build(reply).size());
}

TEST_P(Conntrack, DoesNotCountWhileEventsAreOff) {
  Load(With({{"enable_conntrack", 1}, {"enable_flow_events", 0}}));
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  EXPECT_EQ(Entry(net().peer, 1000, 53, IPPROTO_UDP).value().packets[0], 0u);
  EXPECT_EQ(EventCount(), 0u);
}

TEST_P(Conntrack, FragmentsShareAnEntryWithoutPorts) {
  Frame later = Leaving(Udp{1000, 53});
  later.fragment_offset = 1480;
  later.payload = Bytes(8, 0);
  ExpectPass(Out(later));
  EXPECT_TRUE(Entry(net().peer, 0, 0, IPPROTO_UDP).has_value());
}

// Without policy or translation nothing depends on the entry.
TEST_P(Conntrack, FullTableDoesNotStopTraffic) {
  DatapathConfig config;
  config.constants = With({{"enable_conntrack", 1}});
  config.map_types = {{"ct4", BPF_MAP_TYPE_HASH}, {"ct6", BPF_MAP_TYPE_HASH}};
  config.map_entries = {{"ct4", 1}, {"ct6", 1}};
  Load(config);
  ExpectPass(Out(Leaving(Udp{1, 53})));
  ExpectPass(Out(Leaving(Udp{2, 53})));
  EXPECT_EQ(Entries(), 1u);
}

// The table moves to another size: the earlier one is looked into, and written to.
class MovingConntrack : public Conntrack {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (IsSkipped()) return;
    DatapathConfig config;
    config.constants = With({{"enable_conntrack", 1}, {"ct_moving", 1}});
    config.map_entries = {{"ct4_old", 1024}, {"ct6_old", 1024}};
    Load(config);
  }
  std::string OldMap() const { return v6() ? "ct6_old" : "ct4_old"; }
  size_t OldEntries() { return datapath().Count(OldMap()); }
  // Leaves the one entry to the earlier table, as if an earlier program had made it.
  void Age(const std::string& peer, uint16_t pod_port, uint16_t peer_port) {
    ASSERT_TRUE(DropEntry(peer, pod_port, peer_port, IPPROTO_TCP));
    ASSERT_EQ(OldEntries(), 1u) << "it was entered into both";
  }
};
INSTANTIATE_FAMILIES(MovingConntrack);

TEST_P(MovingConntrack, EntersWhatIsNewIntoBothTables) {
  ExpectPass(Out(Leaving(Tcp{1000, 80, kSyn})));
  EXPECT_EQ(Entries(), 1u);
  EXPECT_EQ(OldEntries(), 1u);
  ExpectPass(In(Entering(Tcp{80, 1000, kSyn | kAck})));
  EXPECT_EQ(Entries(), 1u);
  EXPECT_EQ(OldEntries(), 1u);
}

TEST_P(MovingConntrack, FetchesTheEntryOfAnEarlierProgramAndGoesOnWithIt) {
  ExpectPass(Out(Leaving(Tcp{1000, 80, kSyn})));
  Age(net().peer, 1000, 80);
  datapath().Events();
  ExpectPass(In(Entering(Tcp{80, 1000, kSyn | kAck})));
  EXPECT_EQ(EventCount(), 0u) << "no new connection";
  EXPECT_EQ(Tcp1000().flags, CT_OPENED_BY_POD | CT_SEEN_REPLY);
  EXPECT_EQ(Tcp1000().packets[0], 1u) << "counts come along";
  EXPECT_EQ(Tcp1000().packets[1], 1u);
  EXPECT_EQ(Entries(), 1u);
}

TEST_P(MovingConntrack, LeavesAnEntryThatBothHaveAlone) {
  OpenTcp(net().peer);
  const uint64_t counted = Tcp1000().packets[0];
  ExpectPass(Out(Leaving(Tcp{1000, 80, kAck})));
  EXPECT_EQ(Tcp1000().packets[0], counted + 1) << "the earlier table's count is older";
}

TEST_P(Conntrack, MissingStageIsADropWithAReason) {
  DatapathConfig config;
  config.constants = With({{"enable_conntrack", 1}});
  config.empty_slots = {"fp_create4", "fp_create6", "tp_create4",  "tp_create6",
                        "fp_related4", "fp_related6", "tp_related4", "tp_related6"};
  Load(config);
  ExpectDrop(Out(Leaving(Tcp{1000, 80, kSyn})), DROP_TAIL_CALL, HOOK_FROM_POD);
  ExpectDrop(In(Entering(Tcp{80, 1000, kSyn})), DROP_TAIL_CALL, HOOK_TO_POD);
  ExpectDrop(In(Entering(Icmp{static_cast<uint8_t>(v6() ? 1 : 3), 0, 0})), DROP_TAIL_CALL,
             HOOK_TO_POD);
}

}  // namespace
}  // namespace bonsai::testing
