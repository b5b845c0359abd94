// SPDX-License-Identifier: Apache-2.0
// ICMP errors: they pass with the connection they quote, and are translated like it.
#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

constexpr uint32_t kBoth = ENDPOINT_ENFORCE_INGRESS | ENDPOINT_ENFORCE_EGRESS;

class IcmpError : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (IsSkipped()) return;
    Load(With({{"enable_conntrack", 1}, {"enable_policy", 1}, {"enable_load_balancer", 1}}));
    SetEpoch(1);
    SetEndpoint(kBoth);
    SetIdentity(net().peer, v6() ? 128 : 32, kPeerIdentity);
    for (const int protocol : {int{IPPROTO_TCP}, int{IPPROTO_UDP}, int{icmp()}})
      SetRule(POLICY_EGRESS, IDENTITY_ANY, POLICY_PREFIX_PROTO, protocol, 0, POLICY_ALLOW, 1);
    SetService(80, IPPROTO_TCP, {{net().backend, 8080}});
  }
  uint8_t Unreachable() const { return v6() ? 1 : 3; }
  Frame Error(const std::string& from, const std::string& to, const Frame& about,
              uint8_t type = 0) {
    return {.src = from, .dst = to, .l4 = Icmp{type ? type : Unreachable(), 1, 0},
            .payload = Quote(about)};
  }
  size_t quote_at() const { return v6() ? 14 + 40 + 8 : 14 + 20 + 8; }
};
INSTANTIATE_FAMILIES(IcmpError);

TEST_P(IcmpError, AboutAKnownConnectionPasses) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  const std::vector<uint8_t> types = v6() ? std::vector<uint8_t>{1, 2, 3, 4}
                                          : std::vector<uint8_t>{3, 11, 12};
  for (const uint8_t type : types) {
    // From a router on the way, not from the peer.
    const Frame error = Error(net().other, net().pod, Leaving(Udp{1000, 53}), type);
    const RunResult result = In(error);
    ExpectPass(result);
    EXPECT_EQ(result.frame, Build(error));
  }
  EXPECT_EQ(Entries(), 1u) << "an error opens nothing";
}

TEST_P(IcmpError, AboutAnUnknownConnectionIsLeftToPolicy) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  ExpectDrop(In(Error(net().other, net().pod, Leaving(Udp{1001, 53}))), DROP_POLICY_DEFAULT,
             HOOK_TO_POD);
  SetRule(POLICY_INGRESS, IDENTITY_ANY, POLICY_PREFIX_PROTO, icmp(), 0, POLICY_ALLOW, 1);
  ExpectPass(In(Error(net().other, net().pod, Leaving(Udp{1001, 53}))));
  EXPECT_EQ(Entries(), 1u) << "an error opens nothing";
}

TEST_P(IcmpError, MustQuoteAPacketOfThePodItself) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  Frame error = Error(net().other, net().other, Leaving(Udp{1000, 53}));
  ExpectDrop(In(error), DROP_POLICY_DEFAULT, HOOK_TO_POD);
}

TEST_P(IcmpError, WithACutQuoteIsLeftToPolicy) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  const size_t enough = (v6() ? 40 : 20) + 8;
  for (size_t size = 0; size <= enough; ++size) {
    Frame error = Error(net().other, net().pod, Leaving(Udp{1000, 53}));
    error.payload.resize(size);
    error.padding = 64;  // which is no part of the quote
    EXPECT_EQ(In(error).verdict, size == enough ? kPass : kShot) << size;
  }
}

TEST_P(IcmpError, AboutAStaleConnectionIsLeftToPolicy) {
  ExpectPass(Out(Leaving(Udp{1000, 53})));
  SetEpoch(2);
  ExpectDrop(In(Error(net().other, net().pod, Leaving(Udp{1000, 53}))), DROP_POLICY_DEFAULT,
             HOOK_TO_POD);
}

TEST_P(IcmpError, AboutAnEchoPasses) {
  const Icmp ping = {static_cast<uint8_t>(v6() ? 128 : 8), 0, 7};
  ExpectPass(Out(Leaving(ping)));
  ExpectPass(In(Error(net().other, net().pod, Leaving(ping))));
  const Icmp stranger = {ping.type, 0, 8};
  ExpectDrop(In(Error(net().other, net().pod, Leaving(stranger))), DROP_POLICY_DEFAULT,
             HOOK_TO_POD);
}

TEST_P(IcmpError, FromThePodAboutWhatItReceived) {
  SetRule(POLICY_INGRESS, IDENTITY_ANY, POLICY_PREFIX_PROTO, IPPROTO_UDP, 0, POLICY_ALLOW, 1);
  SetRule(POLICY_EGRESS, IDENTITY_ANY, POLICY_PREFIX_PROTO, icmp(), 0, POLICY_DENY, 2);
  ExpectPass(In(Entering(Udp{2000, 53})));
  ExpectPass(Out(Error(net().pod, net().peer, Entering(Udp{2000, 53}))));
  ExpectDrop(Out(Error(net().pod, net().peer, Entering(Udp{2001, 53}))), DROP_POLICY,
             HOOK_FROM_POD);
}

// The pod knows the service, the network knows the backend: the quote must say the service.
TEST_P(IcmpError, AboutATranslatedConnectionSpeaksOfTheService) {
  ExpectPass(Out(Leaving(Tcp{1000, 80, kSyn}, net().service)));
  const Frame sent = Leaving(Tcp{1000, 8080, kSyn}, net().backend);
  for (const std::string& sender : {net().other, net().backend}) {
    const RunResult result = In(Error(sender, net().pod, sent));
    ExpectPass(result);  // every checksum of the outer packet
    const Seen quoted = ReadQuoted(result.frame, quote_at());
    EXPECT_EQ(quoted.bad_checksum, "");
    EXPECT_EQ(quoted.src, net().pod);
    EXPECT_EQ(quoted.dst, net().service);
    EXPECT_EQ(quoted.sport, 1000);
    EXPECT_EQ(quoted.dport, 80);
    EXPECT_EQ(Read(result.frame).src, sender == net().backend ? net().service : sender);
  }
}

TEST_P(IcmpError, FromThePodAboutATranslatedReplyGoesToTheBackend) {
  ExpectPass(Out(Leaving(Tcp{1000, 80, kSyn}, net().service)));
  ExpectPass(In(Entering(Tcp{8080, 1000, kSyn | kAck}, net().backend)));
  const Frame received = Entering(Tcp{80, 1000, kSyn | kAck}, net().service);
  const RunResult result = Out(Error(net().pod, net().service, received));
  ExpectPass(result);
  EXPECT_EQ(Read(result.frame).dst, net().backend);
  const Seen quoted = ReadQuoted(result.frame, quote_at());
  EXPECT_EQ(quoted.bad_checksum, "");
  EXPECT_EQ(quoted.src, net().backend);
  EXPECT_EQ(quoted.sport, 8080);
  EXPECT_EQ(quoted.dst, net().pod);
}

TEST_P(IcmpError, PassesWithoutPolicy) {
  Load(With({{"enable_conntrack", 1}}));
  ExpectPass(In(Error(net().other, net().pod, Leaving(Udp{1000, 53}))));
  ExpectPass(Out(Error(net().pod, net().other, Entering(Udp{1000, 53}))));
  EXPECT_EQ(Entries(), 0u);
}

}  // namespace
}  // namespace bonsai::testing
