// SPDX-License-Identifier: Apache-2.0
// Prefilter: denied sources are dropped at XDP, everything else passes.
#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

constexpr int kXdpDrop = 1;
constexpr int kXdpPass = 2;

class Prefilter : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (!IsSkipped()) LoadXdp(With({{"enable_prefilter", 1}}));
  }
  void LoadXdp(const Constants& constants) {
    Load(DatapathConfig{.objects = {"xdp"}, .constants = constants});
  }
  RunResult Xdp(const Bytes& frame) { return datapath().Run("xdp_prefilter", frame); }
  int Verdict(const Frame& frame) { return Xdp(Build(frame)).verdict; }
  Frame FromPeer() { return Entering(Tcp{4000, 80, kSyn}); }
};
INSTANTIATE_FAMILIES(Prefilter);

TEST_P(Prefilter, DropsDeniedSourcesOnly) {
  SetPrefilter(net().peer, v6() ? 64 : 24, 17);
  const RunResult result = Xdp(Build(FromPeer()));
  ExpectDrop(result, DROP_PREFILTER, HOOK_XDP);
  EXPECT_EQ(datapath().Metrics(DROP_PREFILTER, HOOK_XDP).bytes, Build(FromPeer()).size());

  EXPECT_EQ(Verdict(FromPeer()), kXdpDrop);
  const flow_event event = LastEvent();
  EXPECT_EQ(event.rule, 17u);
  EXPECT_EQ(event.family, GetParam());
  EXPECT_EQ(ntohs(event.sport), 4000);
  EXPECT_EQ(ntohs(event.dport), 80);
  EXPECT_EQ(event.tcp_flags, kSyn);

  EXPECT_EQ(Verdict(Entering(Tcp{4000, 80, kSyn}, net().other)), kXdpPass);
  EXPECT_EQ(Verdict(Leaving(Tcp{4000, 80, kSyn})), kXdpPass) << "a denied destination is none";
  EXPECT_EQ(EventCount(), 0u);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_XDP).packets, 2u);
}

TEST_P(Prefilter, LongestPrefixIsReported) {
  SetPrefilter(net().peer, v6() ? 32 : 8, 1);
  SetPrefilter(net().peer, v6() ? 128 : 32, 2);
  EXPECT_EQ(Verdict(FromPeer()), kXdpDrop);
  EXPECT_EQ(LastEvent().rule, 2u);
}

TEST_P(Prefilter, OffPassesEverything) {
  LoadXdp(With({{"enable_prefilter", 0}}));
  SetPrefilter(net().peer, 0, 1);
  EXPECT_EQ(Verdict(FromPeer()), kXdpPass);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_XDP).packets, 0u);
}

TEST_P(Prefilter, FamilyThatIsOffPasses) {
  LoadXdp(With({{"enable_prefilter", 1}, {v6() ? "enable_ipv6" : "enable_ipv4", 0}}));
  SetPrefilter(net().peer, 0, 1);
  EXPECT_EQ(Verdict(FromPeer()), kXdpPass);
}

TEST_P(Prefilter, SeesThroughPriorityTagsOnly) {
  SetPrefilter(net().peer, v6() ? 128 : 32, 1);
  Frame frame = FromPeer();
  frame.vlans = {0};
  EXPECT_EQ(Verdict(frame), kXdpDrop);
  frame.vlans = {0, 0};
  EXPECT_EQ(Verdict(frame), kXdpDrop);
  frame.vlans = {0, 0, 0};
  EXPECT_EQ(Verdict(frame), kXdpDrop) << "too many to be honest";
  frame.vlans = {100};
  EXPECT_EQ(Verdict(frame), kXdpPass);
}

// Every cut: without addresses it is malformed; with them the source alone decides.
TEST_P(Prefilter, JudgesPacketsCutAnywhere) {
  SetPrefilter(net().peer, v6() ? 128 : 32, 1);
  const Bytes denied = Build(FromPeer());
  const size_t header = v6() ? 54 : 34;
  for (size_t size = 14; size < denied.size(); ++size) {
    Bytes cut(denied.begin(), denied.begin() + size);
    if (size >= header) {
      cut[v6() ? 18 : 16] = 0;  // the IP length agrees with the cut
      cut[v6() ? 19 : 17] = size - (v6() ? 54 : 14);
    }
    EXPECT_EQ(Xdp(cut).verdict, kXdpDrop) << size;
    const flow_event event = LastEvent();
    EXPECT_EQ(event.reason, size < header ? DROP_INVALID : DROP_PREFILTER) << size;
    const bool whole_ports = size >= header + 20;
    EXPECT_EQ(event.sport != 0, whole_ports) << size;
  }
}

TEST_P(Prefilter, PassesOtherEthertypes) {
  Bytes frame = Build(FromPeer());
  frame[12] = 0x08;
  frame[13] = 0x06;
  EXPECT_EQ(Xdp(frame).verdict, kXdpPass);
}

TEST_P(Prefilter, DropsWithoutEventsAndMetrics) {
  LoadXdp(With({{"enable_prefilter", 1}, {"enable_flow_events", 0},
                {"enable_datapath_metrics", 0}}));
  SetPrefilter(net().peer, v6() ? 128 : 32, 1);
  EXPECT_EQ(Verdict(FromPeer()), kXdpDrop);
  EXPECT_EQ(EventCount(), 0u);
  EXPECT_EQ(datapath().Metrics(DROP_PREFILTER, HOOK_XDP).packets, 0u);
}

}  // namespace
}  // namespace bonsai::testing
