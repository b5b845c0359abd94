// SPDX-License-Identifier: Apache-2.0
// Policy: who may open connections, in each direction, and what happens when that changes.
#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

constexpr uint32_t kBoth = ENDPOINT_ENFORCE_INGRESS | ENDPOINT_ENFORCE_EGRESS;

class Policy : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (!IsSkipped()) LoadPolicy({});
  }
  void LoadPolicy(const Constants& more) {
    Constants constants = With({{"enable_conntrack", 1}, {"enable_policy", 1}});
    for (const auto& [name, value] : more) constants[name] = value;
    Load(constants);
    SetEpoch(1);
    SetEndpoint(kBoth);
    SetIdentity(net().peer, v6() ? 64 : 24, kPeerIdentity);
  }
  void AllowTcp80(policy_direction direction) {
    SetRule(direction, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_ALLOW, 41);
  }
  Frame Syn(uint16_t port = 80) { return Leaving(Tcp{1000, port, kSyn}); }
  Frame SynIn(uint16_t port = 80) { return Entering(Tcp{2000, port, kSyn}); }
};
INSTANTIATE_FAMILIES(Policy);

TEST_P(Policy, NoRuleMeansDenied) {
  ExpectDrop(Out(Syn()), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  ExpectDrop(In(SynIn()), DROP_POLICY_DEFAULT, HOOK_TO_POD);
  EXPECT_EQ(Entries(), 0u);
}

TEST_P(Policy, AllowIsByDirectionPortAndProtocol) {
  AllowTcp80(POLICY_EGRESS);
  ExpectPass(Out(Syn()));
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_NEW);
  EXPECT_EQ(event.rule, 41u);
  EXPECT_EQ(event.src_identity, kPodIdentity);
  EXPECT_EQ(event.dst_identity, kPeerIdentity);
  const ct_entry entry = Entry(net().peer, 1000, 80, IPPROTO_TCP).value();
  EXPECT_EQ(entry.rule, 41u);
  EXPECT_EQ(entry.peer_identity, kPeerIdentity);
  EXPECT_EQ(entry.epoch, 1u);

  ExpectDrop(Out(Syn(81)), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  ExpectDrop(Out(Leaving(Udp{1000, 80})), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  ExpectDrop(In(SynIn()), DROP_POLICY_DEFAULT, HOOK_TO_POD);
}

TEST_P(Policy, IngressTellsIdentitiesTheOtherWayRound) {
  AllowTcp80(POLICY_INGRESS);
  ExpectPass(In(SynIn()));
  const flow_event event = LastEvent();
  EXPECT_EQ(event.src_identity, kPeerIdentity);
  EXPECT_EQ(event.dst_identity, kPodIdentity);
  ExpectDrop(In(SynIn(81)), DROP_POLICY_DEFAULT, HOOK_TO_POD);
}

TEST_P(Policy, RepliesNeedNoRule) {
  AllowTcp80(POLICY_EGRESS);
  ExpectPass(Out(Syn()));
  ExpectPass(In(Entering(Tcp{80, 1000, kSyn | kAck})));
  ExpectPass(Out(Leaving(Tcp{1000, 80, kAck})));
  AllowTcp80(POLICY_INGRESS);
  ExpectPass(In(SynIn()));
  ExpectPass(Out(Leaving(Tcp{80, 2000, kSyn | kAck})));
}

TEST_P(Policy, WithoutEnforcementEverythingPasses) {
  SetEndpoint(ENDPOINT_ENFORCE_INGRESS);
  ExpectPass(Out(Syn()));
  EXPECT_EQ(LastEvent().rule, 0u);
  ExpectDrop(In(SynIn()), DROP_POLICY_DEFAULT, HOOK_TO_POD);
  SetEndpoint(ENDPOINT_ENFORCE_EGRESS);
  ExpectPass(In(SynIn()));
  ExpectDrop(Out(Syn(82)), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
}

TEST_P(Policy, DefaultDenyEnforcesUnselectedAndUnknownPods) {
  LoadPolicy({{"policy_default_deny", 1}});
  SetEndpoint(0);
  ExpectDrop(Out(Syn()), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  const uint32_t ifindex = kPodIfindex;
  datapath().Delete("endpoints", ifindex);
  ExpectDrop(Out(Syn()), DROP_NO_ENDPOINT, HOOK_FROM_POD);
  ExpectDrop(In(SynIn()), DROP_NO_ENDPOINT, HOOK_TO_POD);
}

TEST_P(Policy, UnknownPodPassesWithoutDefaultDeny) {
  const uint32_t ifindex = kPodIfindex;
  datapath().Delete("endpoints", ifindex);
  ExpectPass(Out(Syn()));
  ExpectPass(In(SynIn()));
}

TEST_P(Policy, WildcardIdentityAllowsAnyPeer) {
  SetRule(POLICY_EGRESS, IDENTITY_ANY, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_ALLOW, 5);
  ExpectPass(Out(Syn()));
  EXPECT_EQ(LastEvent().rule, 5u);
  ExpectPass(Out(Leaving(Tcp{1000, 80, kSyn}, net().other)));
  const flow_event event = LastEvent();
  EXPECT_EQ(event.dst_identity, IDENTITY_WORLD);
  EXPECT_EQ(event.rule, 5u);
}

TEST_P(Policy, DenyWinsOverAllowFromEitherLookup) {
  SetRule(POLICY_EGRESS, IDENTITY_ANY, POLICY_PREFIX_L3, 0, 0, POLICY_DENY, 6);
  AllowTcp80(POLICY_EGRESS);
  ExpectDrop(Out(Syn()), DROP_POLICY, HOOK_FROM_POD);
  SetRule(POLICY_EGRESS, IDENTITY_ANY, POLICY_PREFIX_L3, 0, 0, POLICY_ALLOW, 6);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_L3, 0, 0, POLICY_DENY, 7);
  const RunResult result = Out(Syn(81));
  EXPECT_EQ(result.verdict, kShot);
  const flow_event event = LastEvent();
  EXPECT_EQ(event.reason, DROP_POLICY);
  EXPECT_EQ(event.rule, 7u);
}

TEST_P(Policy, PortRangesAndProtocolsMatchByPrefix) {
  // 8000..8007 is the 13-bit prefix 8000/13.
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_PROTO + 13, IPPROTO_TCP, 8000, POLICY_ALLOW,
          8);
  ExpectPass(Out(Syn(8000)));
  ExpectPass(Out(Syn(8007)));
  ExpectDrop(Out(Syn(8008)), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  ExpectDrop(Out(Syn(7999)), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_PROTO, IPPROTO_UDP, 0, POLICY_ALLOW, 9);
  ExpectPass(Out(Leaving(Udp{1000, 9999})));
  ExpectDrop(Out(Leaving(Sctp{1000, 9999})), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
}

TEST_P(Policy, IcmpAndLaterFragmentsMatchOnlyRulesWithoutPorts) {
  const Icmp ping = {static_cast<uint8_t>(v6() ? 128 : 8), 0, 80};
  Frame later = Leaving(Tcp{});
  later.fragment_offset = 1480;
  later.payload = Bytes(8, 0);
  AllowTcp80(POLICY_EGRESS);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_FULL, icmp(), 80, POLICY_ALLOW, 3);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_PROTO + 1, IPPROTO_TCP, 0, POLICY_ALLOW, 3);
  ExpectDrop(Out(Leaving(ping)), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  ExpectDrop(Out(later), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_L3, 0, 0, POLICY_ALLOW, 4);
  ExpectPass(Out(Leaving(ping)));
  ExpectPass(In(Entering(Icmp{static_cast<uint8_t>(v6() ? 129 : 0), 0, 80})));
  ExpectPass(Out(later));
}

TEST_P(Policy, FirstFragmentMatchesPortRules) {
  AllowTcp80(POLICY_EGRESS);
  Frame first = Syn();
  first.more_fragments = true;
  ExpectPass(Out(first));
}

TEST_P(Policy, LongestPrefixNamesThePeer) {
  SetIdentity(net().peer, v6() ? 128 : 32, 999);
  SetRule(POLICY_EGRESS, 999, POLICY_PREFIX_L3, 0, 0, POLICY_ALLOW, 2);
  ExpectPass(Out(Syn()));
  EXPECT_EQ(LastEvent().dst_identity, 999u);
}

TEST_P(Policy, HostAlwaysReachesItsPods) {
  SetIdentity(net().other, v6() ? 128 : 32, IDENTITY_HOST);
  SetRule(POLICY_INGRESS, IDENTITY_ANY, POLICY_PREFIX_L3, 0, 0, POLICY_DENY, 6);
  ExpectPass(In(Entering(Tcp{2000, 80, kSyn}, net().other)));
  ExpectDrop(In(SynIn()), DROP_POLICY, HOOK_TO_POD);
  ExpectDrop(Out(Leaving(Tcp{1000, 80, kSyn}, net().other)), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
}

TEST_P(Policy, HostAddressOnAForwardedPacketIsJudgedAsWorld) {
  SetIdentity(net().other, v6() ? 128 : 32, IDENTITY_HOST);
  const Frame syn = Entering(Tcp{2000, 80, kSyn}, net().other);
  ExpectDrop(Forwarded(syn), DROP_POLICY_DEFAULT, HOOK_TO_POD);
  EXPECT_EQ(Entries(), 0u);
  SetRule(POLICY_INGRESS, IDENTITY_WORLD, POLICY_PREFIX_L3, 0, 0, POLICY_ALLOW, 6);
  ExpectPass(Forwarded(syn));
  const flow_event event = LastEvent();
  EXPECT_EQ(event.src_identity, IDENTITY_WORLD);
  EXPECT_EQ(event.rule, 6u);
}

TEST_P(Policy, HostConnectionOutlivesNewEpochsFromBothSides) {
  SetIdentity(net().other, v6() ? 128 : 32, IDENTITY_HOST);
  const Frame ask = Entering(Tcp{2000, 80, kAck}, net().other);
  const Frame answer = Leaving(Tcp{80, 2000, kAck}, net().other);
  ExpectPass(In(ask));
  SetEpoch(2);
  ExpectPass(Out(answer));
  EXPECT_EQ(Entry(net().other, 80, 2000, IPPROTO_TCP).value().epoch, 2u);
  SetEpoch(3);
  ExpectDrop(Forwarded(ask), DROP_POLICY_DEFAULT, HOOK_TO_POD);
  ExpectPass(In(ask));
  EXPECT_FALSE(Entry(net().other, 80, 2000, IPPROTO_TCP).value().flags & CT_DENIED);
  ExpectPass(Out(answer));
}

TEST_P(Policy, AnswersToAHostThatWasNeverJudgedSettleNothing) {
  SetIdentity(net().other, v6() ? 128 : 32, IDENTITY_HOST);
  const Frame ask = Entering(Tcp{2000, 80, kAck}, net().other);
  const Frame answer = Leaving(Tcp{80, 2000, kAck}, net().other);
  ExpectPass(In(ask));
  ct_entry entry = Entry(net().other, 80, 2000, IPPROTO_TCP).value();
  entry.epoch = 0;
  entry.peer_identity = 0;
  SetEntry(net().other, 80, 2000, IPPROTO_TCP, entry);
  ExpectPass(Out(answer));
  EXPECT_EQ(Entry(net().other, 80, 2000, IPPROTO_TCP).value().epoch, 0u);
  ExpectDrop(Forwarded(ask), DROP_POLICY_DEFAULT, HOOK_TO_POD);
  ExpectDrop(Out(answer), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
}

TEST_P(Policy, AuditModeReportsAndPasses) {
  LoadPolicy({{"policy_audit_mode", 1}});
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_L3, 0, 0, POLICY_DENY, 12);
  ExpectPass(Out(Syn()));
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_AUDIT);
  EXPECT_EQ(event.reason, REASON_AUDITED);
  EXPECT_EQ(event.rule, 12u);
  EXPECT_TRUE(Entry(net().peer, 1000, 80, IPPROTO_TCP).value().flags & CT_AUDITED);
  ExpectPass(In(Entering(Tcp{80, 1000, kSyn | kAck})));
  EXPECT_EQ(datapath().Metrics(REASON_AUDITED, HOOK_FROM_POD).packets, 1u);
  EXPECT_EQ(datapath().Metrics(REASON_AUDITED, HOOK_TO_POD).packets, 1u);
  EXPECT_EQ(EventCount(), 0u) << "told once";
}

TEST_P(Policy, WhatAuditModeLetPassIsDeniedWithoutIt) {
  AllowTcp80(POLICY_EGRESS);
  ExpectPass(Out(Syn()));
  ct_entry entry = Entry(net().peer, 1000, 80, IPPROTO_TCP).value();
  entry.flags |= CT_AUDITED;
  SetEntry(net().peer, 1000, 80, IPPROTO_TCP, entry);
  ExpectPass(Out(Syn()));
  EXPECT_FALSE(Entry(net().peer, 1000, 80, IPPROTO_TCP).value().flags & CT_AUDITED)
      << "asked again, and a rule allows it";
}

TEST_P(Policy, NewEpochAsksAgainAndKeepsWhatIsAllowed) {
  AllowTcp80(POLICY_EGRESS);
  OpenTcp(net().peer);
  SetEpoch(2);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_ALLOW, 43);
  datapath().Events();
  // A reply, but the question is the one of the direction that opened the connection.
  ExpectPass(In(Entering(Tcp{80, 1000, kAck})));
  const ct_entry entry = Entry(net().peer, 1000, 80, IPPROTO_TCP).value();
  EXPECT_EQ(entry.epoch, 2u);
  EXPECT_EQ(entry.rule, 43u);
  EXPECT_TRUE(entry.flags & CT_ESTABLISHED) << "the connection goes on";
  EXPECT_EQ(EventCount(), 0u);
}

TEST_P(Policy, NewEpochEndsWhatIsDenied) {
  AllowTcp80(POLICY_EGRESS);
  OpenTcp(net().peer);
  SetEpoch(2);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_DENY, 44);
  ExpectDrop(In(Entering(Tcp{80, 1000, kAck})), DROP_POLICY, HOOK_TO_POD);
  EXPECT_TRUE(Entry(net().peer, 1000, 80, IPPROTO_TCP).value().flags & CT_DENIED);
  ExpectDrop(Out(Leaving(Tcp{1000, 80, kAck})), DROP_POLICY, HOOK_FROM_POD);
}

TEST_P(Policy, DeniedFlowIsNotRevivedByTheSideThatDidNotOpenIt) {
  SetEndpoint(ENDPOINT_ENFORCE_INGRESS);  // the pod itself may open whatever it likes
  AllowTcp80(POLICY_INGRESS);
  for (const uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
    SCOPED_TRACE(int{protocol});
    const bool tcp = protocol == IPPROTO_TCP;
    const auto ask = [&] {
      return In(tcp ? Entering(Tcp{2000, 80, kAck}) : Entering(Udp{2000, 80}));
    };
    const auto answer = [&] {
      return Out(tcp ? Leaving(Tcp{80, 2000, kAck}) : Leaving(Udp{80, 2000}));
    };
    SetRule(POLICY_INGRESS, kPeerIdentity, POLICY_PREFIX_FULL, protocol, 80, POLICY_ALLOW, 41);
    SetEpoch(1);
    ExpectPass(ask());
    ExpectPass(answer());
    SetEpoch(2);
    SetRule(POLICY_INGRESS, kPeerIdentity, POLICY_PREFIX_FULL, protocol, 80, POLICY_DENY, 44);
    for (int i = 0; i < 3; ++i) {
      ExpectDrop(answer(), DROP_POLICY, HOOK_FROM_POD);
      ExpectDrop(ask(), DROP_POLICY, HOOK_TO_POD);
    }
    const ct_entry denied = Entry(net().peer, 80, 2000, protocol).value();
    EXPECT_TRUE(denied.flags & CT_DENIED);
    EXPECT_FALSE(denied.flags & CT_OPENED_BY_POD);
    SetEpoch(3);
    ExpectDrop(answer(), DROP_POLICY, HOOK_FROM_POD);
    SetRule(POLICY_INGRESS, kPeerIdentity, POLICY_PREFIX_FULL, protocol, 80, POLICY_ALLOW, 45);
    SetEpoch(4);
    ExpectPass(answer());
    ExpectPass(ask());
    const ct_entry allowed = Entry(net().peer, 80, 2000, protocol).value();
    EXPECT_FALSE(allowed.flags & (CT_DENIED | CT_OPENED_BY_POD));
    EXPECT_EQ(allowed.epoch, 4u);
    EXPECT_EQ(allowed.rule, 45u);
  }
}

TEST_P(Policy, DeniedFlowStaysWhilePacketsOfItCome) {
  AllowTcp80(POLICY_EGRESS);
  OpenTcp(net().peer);
  SetEpoch(2);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_DENY, 44);
  ExpectDrop(Out(Leaving(Tcp{1000, 80, kAck})), DROP_POLICY, HOOK_FROM_POD);
  ct_entry entry = Entry(net().peer, 1000, 80, IPPROTO_TCP).value();
  const uint64_t expires = entry.expires;
  entry.expires -= 5000;  // jiffies: seconds
  SetEntry(net().peer, 1000, 80, IPPROTO_TCP, entry);
  ExpectDrop(In(Entering(Tcp{80, 1000, kAck | kRst})), DROP_POLICY, HOOK_TO_POD);
  entry = Entry(net().peer, 1000, 80, IPPROTO_TCP).value();
  EXPECT_GE(entry.expires, expires);
  EXPECT_FALSE(entry.flags & CT_RST) << "what is dropped says nothing about the connection";
}

TEST_P(Policy, SynOnADeniedFlowBeginsAnotherInItsOwnDirection) {
  AllowTcp80(POLICY_INGRESS);
  ExpectPass(In(SynIn()));
  SetEpoch(2);
  SetRule(POLICY_INGRESS, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_DENY, 44);
  const Frame answer = Leaving(Tcp{80, 2000, kAck});
  const Frame syn = Leaving(Tcp{80, 2000, kSyn});
  ExpectDrop(Out(answer), DROP_POLICY, HOOK_FROM_POD);
  ExpectDrop(In(SynIn()), DROP_POLICY, HOOK_TO_POD);
  ExpectDrop(Out(syn), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  EXPECT_TRUE(Entry(net().peer, 80, 2000, IPPROTO_TCP).value().flags & CT_DENIED);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 2000, POLICY_ALLOW, 46);
  ExpectDrop(Out(answer), DROP_POLICY, HOOK_FROM_POD);
  ExpectPass(Out(syn));
  const ct_entry entry = Entry(net().peer, 80, 2000, IPPROTO_TCP).value();
  EXPECT_TRUE(entry.flags & CT_OPENED_BY_POD);
  EXPECT_FALSE(entry.flags & CT_DENIED);
  ExpectPass(In(Entering(Tcp{2000, 80, kSyn | kAck})));
}

TEST_P(Policy, DenialCountsNeitherInAuditModeNorWithPolicyOff) {
  for (const Constants& mode :
       {Constants{{"policy_audit_mode", 1}}, Constants{{"enable_policy", 0}}}) {
    LoadPolicy(mode);
    ExpectPass(In(SynIn()));
    ct_entry entry = Entry(net().peer, 80, 2000, IPPROTO_TCP).value();
    entry.flags |= CT_DENIED;
    entry.epoch = 1;
    SetEntry(net().peer, 80, 2000, IPPROTO_TCP, entry);
    ExpectPass(Out(Leaving(Tcp{80, 2000, kAck})));
    ExpectPass(In(Entering(Tcp{2000, 80, kAck})));
    EXPECT_EQ(bool(Entry(net().peer, 80, 2000, IPPROTO_TCP).value().flags & CT_DENIED),
              mode.count("enable_policy") == 1);
  }
}

TEST_P(Policy, NewEpochRechecksConnectionsOpenedByThePeer) {
  AllowTcp80(POLICY_INGRESS);
  ExpectPass(In(SynIn()));
  SetEpoch(2);
  ExpectPass(Out(Leaving(Tcp{80, 2000, kSyn | kAck})));
  EXPECT_EQ(Entry(net().peer, 80, 2000, IPPROTO_TCP).value().epoch, 2u);
  SetEpoch(3);
  SetRule(POLICY_INGRESS, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_DENY, 44);
  ExpectDrop(Out(Leaving(Tcp{80, 2000, kAck})), DROP_POLICY, HOOK_FROM_POD);
}

TEST_P(Policy, ConnectionsOlderThanPolicyAreChecked) {
  AllowTcp80(POLICY_EGRESS);
  ExpectPass(Out(Syn()));
  ct_entry entry = Entry(net().peer, 1000, 80, IPPROTO_TCP).value();
  entry.epoch = 0;
  SetEntry(net().peer, 1000, 80, IPPROTO_TCP, entry);
  SetEpoch(0);
  SetRule(POLICY_EGRESS, kPeerIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, 80, POLICY_DENY, 44);
  ExpectDrop(Out(Syn()), DROP_POLICY, HOOK_FROM_POD);
}

TEST_P(Policy, FullTableIsADropBecauseRepliesWouldBeDenied) {
  DatapathConfig config;
  config.constants = With({{"enable_conntrack", 1}, {"enable_policy", 1}});
  config.map_types = {{"ct4", BPF_MAP_TYPE_HASH}, {"ct6", BPF_MAP_TYPE_HASH}};
  config.map_entries = {{"ct4", 1}, {"ct6", 1}};
  Load(config);
  SetEpoch(1);
  ExpectPass(Out(Leaving(Udp{1, 53})));
  ExpectDrop(Out(Leaving(Udp{2, 53})), DROP_CT_FULL, HOOK_FROM_POD);
}

TEST_P(Policy, MissingStageIsADropWithAReason) {
  DatapathConfig config;
  config.constants = With({{"enable_conntrack", 1}, {"enable_policy", 1}});
  config.empty_slots = {"fp_policy4", "fp_policy6", "tp_recheck4", "tp_recheck6"};
  Load(config);
  ExpectDrop(Out(Syn()), DROP_TAIL_CALL, HOOK_FROM_POD);
  ExpectPass(In(SynIn()));
  ExpectDrop(In(SynIn()), DROP_TAIL_CALL, HOOK_TO_POD);  // epoch 0: never checked
}

}  // namespace
}  // namespace bonsai::testing
