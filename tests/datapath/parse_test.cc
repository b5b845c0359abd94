// SPDX-License-Identifier: Apache-2.0
// Parsing, seen through verdicts, metrics and events of the entry programs.
#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

// The kernel refuses to run a tc program on a frame that is cut inside its IP header; those cuts are
// the business of the prefilter tests, where the same parser sees them.
constexpr size_t kShortestIpv4 = 34;
constexpr size_t kShortestIpv6 = 54;

// Events for every packet: they show what was parsed.
Constants Watch() { return With({{"flow_aggregation", 0}}); }

class Parse : public DatapathTest {
 protected:
  size_t shortest() const { return v6() ? kShortestIpv6 : kShortestIpv4; }

  // The event of a packet that leaves the pod and must pass.
  flow_event Parsed(const Frame& frame) {
    const RunResult result = Out(frame);
    EXPECT_EQ(result.verdict, kPass);
    EXPECT_EQ(result.frame, Build(frame)) << "the packet was changed";
    return LastEvent();
  }
};
INSTANTIATE_FAMILIES(Parse);

TEST_P(Parse, ReadsAddressesAndPortsOfEachProtocol) {
  Load(Watch());
  flow_event event = Parsed(Leaving(Tcp{1000, 80, kSyn}));
  EXPECT_EQ(event.kind, FLOW_PACKET);
  EXPECT_EQ(event.reason, REASON_FORWARDED);
  EXPECT_EQ(event.family, GetParam());
  EXPECT_EQ(event.protocol, IPPROTO_TCP);
  EXPECT_EQ(event.tcp_flags, kSyn);
  EXPECT_EQ(ntohs(event.sport), 1000);
  EXPECT_EQ(ntohs(event.dport), 80);
  EXPECT_EQ(event.bytes, Build(Leaving(Tcp{})).size());

  event = Parsed(Leaving(Udp{53, 5353}));
  EXPECT_EQ(event.protocol, IPPROTO_UDP);
  EXPECT_EQ(ntohs(event.sport), 53);
  EXPECT_EQ(ntohs(event.dport), 5353);

  event = Parsed(Leaving(Sctp{7, 9}));
  EXPECT_EQ(event.protocol, IPPROTO_SCTP);
  EXPECT_EQ(ntohs(event.sport), 7);

  event = Parsed(Leaving(Raw{50}));
  EXPECT_EQ(event.protocol, 50);
  EXPECT_EQ(event.sport, 0);
  EXPECT_EQ(event.dport, 0);
}

TEST_P(Parse, TellsIcmpTypeCodeAndEchoIdentifier) {
  Load(Watch());
  const uint8_t request = v6() ? 128 : 8;
  const flow_event event = Parsed(Leaving(Icmp{request, 0, 0x77}));
  EXPECT_EQ(ntohs(event.sport), request << 8);
  EXPECT_EQ(ntohs(event.dport), 0x77);
}

TEST_P(Parse, PassesOtherEthertypesUntouched) {
  Load(Watch());
  Bytes frame = Build(Leaving(Tcp{}));
  frame[12] = 0x08;
  frame[13] = 0x06;  // ARP
  EXPECT_EQ(datapath().Run("from_pod", frame).verdict, kPass);
  EXPECT_EQ(datapath().Run("to_pod", frame).verdict, kPass);
  frame[12] = 0x00;
  frame[13] = 0x40;  // 802.3 length
  EXPECT_EQ(datapath().Run("from_pod", frame).verdict, kPass);
  EXPECT_EQ(EventCount(), 0u);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 2u);
}

TEST_P(Parse, PassesVlansOfOthersAndDropsHiddenPriorityTags) {
  Load(Watch());
  Frame frame = Leaving(Tcp{});
  frame.vlans = {100};
  EXPECT_EQ(Out(frame).verdict, kPass);
  EXPECT_EQ(EventCount(), 0u);
  frame.vlans = {0};
  ExpectDrop(Out(frame), DROP_INVALID, HOOK_FROM_POD);
}

TEST_P(Parse, FamilyThatIsOffPassesWithoutPolicyAndIsDroppedWithIt) {
  Constants constants = Watch();
  constants[v6() ? "enable_ipv6" : "enable_ipv4"] = 0;
  Load(constants);
  EXPECT_EQ(Out(Leaving(Tcp{})).verdict, kPass);
  EXPECT_EQ(In(Entering(Tcp{})).verdict, kPass);
  EXPECT_EQ(EventCount(), 0u);

  constants["enable_conntrack"] = 1;
  constants["enable_policy"] = 1;
  Load(constants);
  ExpectDrop(Out(Leaving(Tcp{})), DROP_FAMILY, HOOK_FROM_POD);
  ExpectDrop(In(Entering(Tcp{})), DROP_FAMILY, HOOK_TO_POD);

  constants["policy_audit_mode"] = 1;
  Load(constants);
  EXPECT_EQ(Out(Leaving(Tcp{})).verdict, kPass);
  EXPECT_EQ(LastEvent().kind, FLOW_AUDIT);
}

// Each cut of each kind of packet: the IP length says more than is there, so it must be dropped.
TEST_P(Parse, DropsPacketsCutAnywhere) {
  Load(Watch());
  const std::vector<Frame> kinds = {Leaving(Tcp{1, 2, kSyn}), Leaving(Udp{1, 2}),
                                    Leaving(Icmp{static_cast<uint8_t>(v6() ? 128 : 8), 0, 5}),
                                    Leaving(Sctp{1, 2})};
  for (const Frame& kind : kinds) {
    const Bytes whole = Build(kind);
    for (size_t size = shortest(); size < whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + size);
      EXPECT_EQ(datapath().Run("from_pod", cut).verdict, kShot) << "of " << size << " bytes";
      EXPECT_EQ(datapath().Run("to_pod", cut).verdict, kShot) << "of " << size << " bytes";
    }
  }
}

// The same, but the IP length is cut too: what is left must not be read from the padding.
TEST_P(Parse, NeverReadsHeadersFromPadding) {
  Load(Watch());
  for (const auto& l4 : std::vector<decltype(Frame::l4)>{Tcp{1, 2, kSyn}, Udp{1, 2}}) {
    const Bytes whole = Build(Leaving(l4));
    const size_t header = v6() ? 54 : 34;
    for (size_t size = header; size < whole.size(); ++size) {
      Bytes frame = whole;  // the rest of the header becomes padding
      const size_t ip_bytes = size - (v6() ? header : 14);
      frame[v6() ? 18 : 16] = ip_bytes >> 8;
      frame[v6() ? 19 : 17] = ip_bytes & 0xff;
      EXPECT_EQ(datapath().Run("from_pod", frame).verdict, kShot) << size - header;
      const flow_event event = LastEvent();
      EXPECT_EQ(event.reason, DROP_INVALID);
      EXPECT_EQ(event.sport, 0);
    }
  }
}

TEST_P(Parse, AcceptsPadding) {
  Load(Watch());
  Frame frame = Leaving(Udp{53, 5353});
  frame.padding = 18;
  EXPECT_EQ(ntohs(Parsed(frame).dport), 5353);
}

TEST_P(Parse, DropsWhatContradictsItself) {
  Load(Watch());
  const Bytes good = Build(Leaving(Tcp{1, 2, kSyn}));
  const size_t l4 = v6() ? 54 : 34;

  Bytes frame = good;
  frame[14] = v6() ? 0x40 : 0x65;  // the other version
  ExpectDrop(datapath().Run("from_pod", frame), DROP_INVALID, HOOK_FROM_POD);

  frame = good;
  frame[l4 + 12] = 0x40;  // data offset below 20
  ExpectDrop(datapath().Run("from_pod", frame), DROP_INVALID, HOOK_FROM_POD);

  frame = good;
  frame[l4 + 12] = 0xf0;  // data offset beyond the packet
  ExpectDrop(datapath().Run("to_pod", frame), DROP_INVALID, HOOK_TO_POD);
}

TEST_P(Parse, LaterFragmentHasNoPortsAndFirstHas) {
  Load(Watch());
  Frame first = Leaving(Udp{1, 2});
  first.more_fragments = true;
  EXPECT_EQ(ntohs(Parsed(first).dport), 2);
  Frame later = Leaving(Udp{1, 2});
  later.fragment_offset = 1480;
  later.payload = Bytes(32, 7);
  const flow_event event = Parsed(later);
  EXPECT_EQ(event.protocol, IPPROTO_UDP);
  EXPECT_EQ(event.sport, 0);
  EXPECT_EQ(event.dport, 0);
}

TEST(ParseIpv4, SkipsOptionsAndRefusesOverlappingTcpFragments) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
  Datapath datapath({.constants = Watch()});
  ASSERT_EQ(datapath.error(), "");
  Frame frame = {.src = "10.1.0.2", .dst = "10.2.0.9", .l4 = Tcp{1000, 80, kSyn},
                 .ip_options = 40};
  EXPECT_EQ(datapath.Run("from_pod", Build(frame)).verdict, kPass);
  EXPECT_EQ(ntohs(datapath.Events().back().dport), 80);

  Frame overlap = {.src = "10.1.0.2", .dst = "10.2.0.9", .l4 = Tcp{}, .payload = Bytes(16, 1),
                   .fragment_offset = 8};
  EXPECT_EQ(datapath.Run("from_pod", Build(overlap)).verdict, kShot);
}

class ParseIpv6 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
    datapath_ = std::make_unique<Datapath>(DatapathConfig{.constants = Watch()});
    ASSERT_EQ(datapath_->error(), "");
  }
  Frame With(std::vector<uint8_t> extensions) {
    return {.src = "fd00:1::2", .dst = "fd00:2::9", .l4 = Tcp{1000, 80, kSyn},
            .extensions = std::move(extensions)};
  }
  std::unique_ptr<Datapath> datapath_;
};

TEST_F(ParseIpv6, WalksExtensionHeaders) {
  const std::vector<std::vector<uint8_t>> chains = {{0}, {60}, {43}, {0, 60, 43, 60}};
  for (const auto& chain : chains) {
    EXPECT_EQ(datapath_->Run("from_pod", Build(With(chain))).verdict, kPass);
    const flow_event event = datapath_->Events().back();
    EXPECT_EQ(event.protocol, IPPROTO_TCP);
    EXPECT_EQ(ntohs(event.dport), 80) << chain.size() << " headers";
  }
}

TEST_F(ParseIpv6, DropsEndlessChains) {
  EXPECT_EQ(datapath_->Run("from_pod", Build(With({0, 60, 60, 60, 60}))).verdict, kShot);
  EXPECT_EQ(datapath_->Events().back().reason, DROP_INVALID);
}

TEST_F(ParseIpv6, DropsChainsCutAnywhere) {
  const Bytes whole = Build(With({0, 60}));
  for (size_t size = kShortestIpv6; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + size);
    EXPECT_EQ(datapath_->Run("from_pod", cut).verdict, kShot) << size;
  }
}

TEST_F(ParseIpv6, AtomicFragmentIsAWholePacket) {
  Frame frame = With({});
  frame.fragment_header = true;
  EXPECT_EQ(datapath_->Run("from_pod", Build(frame)).verdict, kPass);
  EXPECT_EQ(ntohs(datapath_->Events().back().dport), 80);
}

TEST_F(ParseIpv6, ExtensionLongerThanThePacketIsInvalid) {
  Bytes frame = Build(With({0}));
  frame[55] = 200;  // length of the option header, in units of 8 bytes
  EXPECT_EQ(datapath_->Run("from_pod", frame).verdict, kShot);
}

TEST_F(ParseIpv6, NeighbourDiscoveryPassesWhateverPolicySays) {
  Constants constants = Watch();
  constants["enable_conntrack"] = 1;
  constants["enable_policy"] = 1;
  constants["policy_default_deny"] = 1;
  datapath_ = std::make_unique<Datapath>(DatapathConfig{.constants = constants});
  ASSERT_EQ(datapath_->error(), "");
  for (uint8_t type = 132; type <= 138; ++type) {
    const Frame frame = {.src = "fe80::1", .dst = "ff02::1", .l4 = Icmp{type, 0, 0}};
    const int expected = type >= 133 && type <= 137 ? kPass : kShot;
    EXPECT_EQ(datapath_->Run("from_pod", Build(frame)).verdict, expected) << int{type};
    EXPECT_EQ(datapath_->Run("to_pod", Build(frame)).verdict, expected) << int{type};
  }
}

TEST_P(Parse, NetdevHookCountsAndNeverDrops) {
  Load(DatapathConfig{.objects = {"from_netdev"}, .constants = Watch()});
  const Bytes whole = Build(Entering(Tcp{80, 1000, kAck}));
  EXPECT_EQ(datapath().Run("from_netdev", whole).verdict, kPass);
  flow_event event = LastEvent();
  EXPECT_EQ(event.hook, HOOK_FROM_NETDEV);
  EXPECT_EQ(event.kind, FLOW_PACKET);
  EXPECT_EQ(ntohs(event.sport), 80);
  for (size_t size = shortest(); size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + size);
    EXPECT_EQ(datapath().Run("from_netdev", cut).verdict, kPass) << size;
  }
  EXPECT_EQ(EventCount(), 0u);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_NETDEV).packets, whole.size() - shortest() + 1);
}

}  // namespace
}  // namespace bonsai::testing
