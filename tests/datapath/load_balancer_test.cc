// SPDX-License-Identifier: Apache-2.0
// Service addresses: translation of requests and replies, with all checksums, and what can go wrong.
#include <set>

#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

class LoadBalancer : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (IsSkipped()) return;
    Load(With({{"enable_conntrack", 1}, {"enable_load_balancer", 1}}));
    SetService(80, IPPROTO_TCP, {{net().backend, 8080}});
  }
  // Translated to the backend with right checksums.
  void ExpectTranslated(const RunResult& result, uint16_t sport, uint16_t port) {
    EXPECT_EQ(result.verdict, kPass);
    const Seen seen = Read(result.frame);
    EXPECT_EQ(seen.bad_checksum, "");
    EXPECT_EQ(seen.src, net().pod);
    EXPECT_EQ(seen.dst, net().backend);
    EXPECT_EQ(seen.sport, sport);
    EXPECT_EQ(seen.dport, port);
  }
  // A reply that must look as if the service had sent it.
  void ExpectFromService(const RunResult& result, uint16_t port, uint16_t dport) {
    EXPECT_EQ(result.verdict, kPass);
    const Seen seen = Read(result.frame);
    EXPECT_EQ(seen.bad_checksum, "");
    EXPECT_EQ(seen.src, net().service);
    EXPECT_EQ(seen.dst, net().pod);
    EXPECT_EQ(seen.sport, port);
    EXPECT_EQ(seen.dport, dport);
  }
  Frame ToService(decltype(Frame::l4) l4) { return Leaving(l4, net().service); }
  Frame FromBackend(decltype(Frame::l4) l4) { return Entering(l4, net().backend); }
  ct_entry Front() {
    return Entry(net().service, 1000, 80, IPPROTO_TCP).value_or(ct_entry{});
  }
  ct_entry Back() { return Entry(net().backend, 1000, 8080, IPPROTO_TCP).value_or(ct_entry{}); }
  void Open() {
    Out(ToService(Tcp{1000, 80, kSyn}));
    In(FromBackend(Tcp{8080, 1000, kSyn | kAck}));
    Out(ToService(Tcp{1000, 80, kAck}));
  }
};
INSTANTIATE_FAMILIES(LoadBalancer);

TEST_P(LoadBalancer, TcpRequestAndReply) {
  Frame request = ToService(Tcp{1000, 80, kSyn});
  request.payload = {1, 2, 3};  // an odd length, for the checksums
  ExpectTranslated(Out(request), 1000, 8080);
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_NEW);
  EXPECT_EQ(ntohs(event.dport), 80) << "as the packet arrived";
  EXPECT_EQ(ntohs(event.nat_port), 8080);
  EXPECT_EQ(Front().flags, CT_OPENED_BY_POD | CT_NAT_FRONT);
  EXPECT_EQ(Back().flags, CT_OPENED_BY_POD | CT_NAT_BACK);

  ExpectFromService(In(FromBackend(Tcp{8080, 1000, kSyn | kAck})), 80, 1000);
  EXPECT_TRUE(Front().flags & CT_SEEN_REPLY) << "the twin knows";
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kAck})), 1000, 8080);
  EXPECT_TRUE(Front().flags & CT_ESTABLISHED);
  EXPECT_TRUE(Back().flags & CT_ESTABLISHED);
  EXPECT_EQ(Entries(), 2u);
  EXPECT_EQ(EventCount(), 0u);
}

TEST_P(LoadBalancer, UdpWithAndWithoutChecksum) {
  SetService(53, IPPROTO_UDP, {{net().backend, 5353}});
  for (const bool checksum : {true, false}) {
    Frame request = ToService(Udp{1000, 53, checksum});
    request.payload = Bytes(33, 0x5a);
    RunResult result = Out(request);
    ExpectTranslated(result, 1000, 5353);
    const size_t at = (v6() ? 54 : 34) + 6;
    EXPECT_EQ(result.frame[at] || result.frame[at + 1], checksum);
    result = In(FromBackend(Udp{5353, 1000, checksum}));
    ExpectFromService(result, 53, 1000);
    EXPECT_EQ(result.frame[at] || result.frame[at + 1], checksum);
  }
}

// A UDP checksum that comes out as 0 must be written as 0xffff: 0 means that there is none.
TEST_P(LoadBalancer, UdpChecksumNeverBecomesZero) {
  SetService(53, IPPROTO_UDP, {{net().backend, 5353}});
  const size_t at = (v6() ? 54 : 34) + 6;
  size_t all_ones = 0;
  for (uint32_t word = 0; word < 0x10000; word += 1) {
    // Find the payload whose translated checksum is the special one, without the kernel.
    Frame direct = Leaving(Udp{1000, 5353}, net().backend);
    direct.payload = {static_cast<uint8_t>(word >> 8), static_cast<uint8_t>(word)};
    const Bytes built = Build(direct);
    if (built[at] != 0xff || built[at + 1] != 0xff) continue;
    Frame request = ToService(Udp{1000, 53});
    request.payload = direct.payload;
    const RunResult result = Out(request);
    EXPECT_EQ(result.frame, built);
    ++all_ones;
  }
  EXPECT_EQ(all_ones, 1u);
}

TEST_P(LoadBalancer, WhatIsNoServicePassesUntouched) {
  for (const Frame& frame :
       {Leaving(Tcp{1000, 80, kSyn}), ToService(Tcp{1000, 81, kSyn}), ToService(Udp{1000, 80}),
        ToService(Icmp{static_cast<uint8_t>(v6() ? 128 : 8), 0, 9})}) {
    const RunResult result = Out(frame);
    ExpectPass(result);
    EXPECT_EQ(result.frame, Build(frame));
    EXPECT_EQ(LastEvent().kind, FLOW_NEW);
  }
}

TEST_P(LoadBalancer, ExtensionHeadersAndOptionsDoNotHideThePorts) {
  Frame request = ToService(Tcp{1000, 80, kSyn});
  request.extensions = {0, 60};
  request.ip_options = 8;
  ExpectTranslated(Out(request), 1000, 8080);
}

TEST_P(LoadBalancer, SpreadsOverBackendsAndKeepsConnections) {
  SetService(80, IPPROTO_TCP, {{net().backend, 8080}, {net().backend2, 8080}});
  std::set<std::string> chosen;
  for (uint16_t port = 1000; port < 1064; ++port) {
    const std::string first = Read(Out(ToService(Tcp{port, 80, kSyn})).frame).dst;
    EXPECT_EQ(Read(Out(ToService(Tcp{port, 80, kAck})).frame).dst, first);
    chosen.insert(first);
  }
  EXPECT_EQ(chosen, (std::set<std::string>{net().backend, net().backend2}));
}

TEST_P(LoadBalancer, NoBackendIsADrop) {
  SetService(81, IPPROTO_TCP, {});
  ExpectDrop(Out(ToService(Tcp{1000, 81, kSyn})), DROP_NO_BACKEND, HOOK_FROM_POD);
  EXPECT_EQ(Entries(), 0u);
}

TEST_P(LoadBalancer, RemovedListIsADrop) {
  const backend_key key = {5, 0};
  datapath().Delete(v6() ? "backends6" : "backends4", key);
  ExpectDrop(Out(ToService(Tcp{1000, 80, kSyn})), DROP_NO_BACKEND, HOOK_FROM_POD);
}

TEST_P(LoadBalancer, CollisionWithALiveConnectionTakesAnotherBackend) {
  SetService(80, IPPROTO_TCP, {{net().backend, 8080}, {net().backend2, 8080}});
  ExpectPass(Out(Leaving(Tcp{1000, 8080, kSyn}, net().backend)));  // the same port, directly
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(Read(Out(ToService(Tcp{1000, 80, kSyn})).frame).dst, net().backend2);
    DropEntry(net().service, 1000, 80, IPPROTO_TCP);
    DropEntry(net().backend2, 1000, 8080, IPPROTO_TCP);
  }
}

TEST_P(LoadBalancer, CollisionWithoutAnotherBackendIsADrop) {
  ExpectPass(Out(Leaving(Tcp{1000, 8080, kSyn}, net().backend)));
  ExpectDrop(Out(ToService(Tcp{1000, 80, kSyn})), DROP_CT_COLLISION, HOOK_FROM_POD);
  In(FromBackend(Tcp{8080, 1000, kRst}));  // the other one is over
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kSyn})), 1000, 8080);
}

TEST_P(LoadBalancer, DirectPacketOnATranslatedConnectionIsADrop) {
  Open();
  ExpectDrop(Out(Leaving(Tcp{1000, 8080, kSyn}, net().backend)), DROP_CT_COLLISION,
             HOOK_FROM_POD);
}

TEST_P(LoadBalancer, FragmentsForServicesAreDropped) {
  SetService(53, IPPROTO_UDP, {{net().backend, 5353}});
  SetServiceMarker();
  Frame first = ToService(Udp{1000, 53});
  first.more_fragments = true;
  first.payload = Bytes(64, 1);
  ExpectDrop(Out(first), DROP_FRAGMENT, HOOK_FROM_POD);
  Frame later = ToService(Udp{1000, 53});
  later.fragment_offset = 64;
  later.payload = Bytes(64, 1);
  ExpectDrop(Out(later), DROP_FRAGMENT, HOOK_FROM_POD);
  later.dst = net().peer;
  ExpectPass(Out(later));

  // The same on a connection that is translated already, both ways.
  ExpectTranslated(Out(ToService(Udp{1000, 53})), 1000, 5353);
  ExpectDrop(Out(first), DROP_FRAGMENT, HOOK_FROM_POD);
  Frame reply = FromBackend(Udp{5353, 1000});
  reply.more_fragments = true;
  ExpectDrop(In(reply), DROP_FRAGMENT, HOOK_TO_POD);
}

TEST_P(LoadBalancer, ClosesOnceWithTheTotalsOfBothEntries) {
  Open();
  datapath().Events();
  Out(ToService(Tcp{1000, 80, kFin | kAck}));
  EXPECT_TRUE(Back().flags & CT_FIN_FROM_POD);
  EXPECT_EQ(EventCount(), 0u);
  ExpectFromService(In(FromBackend(Tcp{8080, 1000, kFin | kAck})), 80, 1000);
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_CLOSE);
  EXPECT_EQ(event.packets, 5u);
  Out(ToService(Tcp{1000, 80, kAck}));
  EXPECT_EQ(EventCount(), 0u);
  EXPECT_LT(Front().expires, Back().expires + 250);
  // And a SYN chooses again.
  SetService(80, IPPROTO_TCP, {{net().backend2, 9090}});
  EXPECT_EQ(Read(Out(ToService(Tcp{1000, 80, kSyn})).frame).dst, net().backend2);
}

TEST_P(LoadBalancer, EvictedTwinIsMadeAgain) {
  Open();
  ASSERT_TRUE(DropEntry(net().backend, 1000, 8080, IPPROTO_TCP));
  ct_entry front = Front();
  front.expires -= 1000;  // long enough ago for a refresh
  SetEntry(net().service, 1000, 80, IPPROTO_TCP, front);
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kAck})), 1000, 8080);
  EXPECT_TRUE(Back().flags & CT_NAT_BACK);
  ExpectFromService(In(FromBackend(Tcp{8080, 1000, kAck})), 80, 1000);

  ASSERT_TRUE(DropEntry(net().service, 1000, 80, IPPROTO_TCP));
  ct_entry back = Back();
  back.expires -= 1000;
  SetEntry(net().backend, 1000, 8080, IPPROTO_TCP, back);
  ExpectFromService(In(FromBackend(Tcp{8080, 1000, kAck})), 80, 1000);
  EXPECT_TRUE(Front().flags & CT_NAT_FRONT);
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kAck})), 1000, 8080);
}

TEST_P(LoadBalancer, RefreshReachesTheTwin) {
  Open();
  ct_entry front = Front();
  const uint64_t fresh = front.expires;
  front.expires -= 5000;
  SetEntry(net().service, 1000, 80, IPPROTO_TCP, front);
  ct_entry back = Back();
  back.expires -= 5000;
  SetEntry(net().backend, 1000, 8080, IPPROTO_TCP, back);
  Out(ToService(Tcp{1000, 80, kAck}));
  EXPECT_GE(Front().expires, fresh);
  EXPECT_GE(Back().expires, fresh);
}

TEST_P(LoadBalancer, FullTableIsADropAndLeavesNothingBehind) {
  DatapathConfig config;
  config.constants = With({{"enable_conntrack", 1}, {"enable_load_balancer", 1}});
  config.map_types = {{"ct4", BPF_MAP_TYPE_HASH}, {"ct6", BPF_MAP_TYPE_HASH}};
  config.map_entries = {{"ct4", 1}, {"ct6", 1}};
  Load(config);
  SetService(80, IPPROTO_TCP, {{net().backend, 8080}});
  ExpectDrop(Out(ToService(Tcp{1000, 80, kSyn})), DROP_CT_FULL, HOOK_FROM_POD);
  EXPECT_EQ(Entries(), 0u);
}

class LoadBalancerPolicy : public LoadBalancer {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (IsSkipped()) return;
    Load(With({{"enable_conntrack", 1}, {"enable_load_balancer", 1}, {"enable_policy", 1}}));
    SetService(80, IPPROTO_TCP, {{net().backend, 8080}});
    SetEpoch(1);
    SetEndpoint(ENDPOINT_ENFORCE_INGRESS | ENDPOINT_ENFORCE_EGRESS);
    SetIdentity(net().backend, v6() ? 128 : 32, kBackendIdentity);
  }
  void Backends(policy_action action, uint16_t port = 8080) {
    SetRule(POLICY_EGRESS, kBackendIdentity, POLICY_PREFIX_FULL, IPPROTO_TCP, port, action, 21);
  }
};
INSTANTIATE_FAMILIES(LoadBalancerPolicy);

TEST_P(LoadBalancerPolicy, AsksAboutTheBackendNotTheService) {
  ExpectDrop(Out(ToService(Tcp{1000, 80, kSyn})), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  Backends(POLICY_ALLOW, 80);
  ExpectDrop(Out(ToService(Tcp{1000, 80, kSyn})), DROP_POLICY_DEFAULT, HOOK_FROM_POD);
  EXPECT_EQ(Entries(), 0u);
  Backends(POLICY_ALLOW);
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kSyn})), 1000, 8080);
  const flow_event event = LastEvent();
  EXPECT_EQ(event.rule, 21u);
  EXPECT_EQ(event.dst_identity, kBackendIdentity);
  ExpectFromService(In(FromBackend(Tcp{8080, 1000, kSyn | kAck})), 80, 1000);
}

TEST_P(LoadBalancerPolicy, NewEpochAsksAboutTheBackendAgainFromBothSides) {
  Backends(POLICY_ALLOW);
  Open();
  SetEpoch(2);
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kAck})), 1000, 8080);
  EXPECT_EQ(Front().epoch, 2u);
  ExpectFromService(In(FromBackend(Tcp{8080, 1000, kAck})), 80, 1000);
  EXPECT_EQ(Back().epoch, 2u);

  SetEpoch(3);
  Backends(POLICY_DENY);
  ExpectDrop(In(FromBackend(Tcp{8080, 1000, kAck})), DROP_POLICY, HOOK_TO_POD);
  EXPECT_TRUE(Front().flags & Back().flags & CT_DENIED) << "both know";
  ExpectDrop(Out(ToService(Tcp{1000, 80, kAck})), DROP_POLICY, HOOK_FROM_POD);
  ExpectDrop(In(FromBackend(Tcp{8080, 1000, kAck})), DROP_POLICY, HOOK_TO_POD);

  Backends(POLICY_ALLOW);
  SetEpoch(4);
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kAck})), 1000, 8080);
  ExpectFromService(In(FromBackend(Tcp{8080, 1000, kAck})), 80, 1000);
  EXPECT_FALSE((Front().flags | Back().flags) & CT_DENIED);
}

TEST_P(LoadBalancerPolicy, StaleEntryThatExpiredGoesThroughTheBalancerAgain) {
  Backends(POLICY_ALLOW);
  Open();
  ct_entry front = Front();
  front.epoch = 1;
  front.expires = 1;
  SetEntry(net().service, 1000, 80, IPPROTO_TCP, front);
  SetEpoch(2);
  ExpectTranslated(Out(ToService(Tcp{1000, 80, kAck})), 1000, 8080);
  EXPECT_EQ(Front().epoch, 2u);
}

}  // namespace
}  // namespace bonsai::testing
