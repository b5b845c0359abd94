// SPDX-License-Identifier: Apache-2.0
// dns-deny: which queries it names, and what answer they get, byte by byte.
#include "tests/datapath/dns_fixture.h"

namespace bonsai::testing {
namespace {

class DnsDeny : public DnsTest {
 protected:
  void SetUp() override {
    DnsTest::SetUp();
    if (!IsSkipped()) LoadDns();
  }

  static Bytes Ask(const std::string& name, uint16_t type = kTypeA) {
    return Pack({.questions = {{.name = WireName(name), .type = type}}});
  }
  bool IsDenied(const Bytes& message, bool tcp = false) {
    const uint64_t before = Counter(DNS_DENIED);
    const RunResult result = Out(Query(tcp ? OverTcp(message) : message, tcp));
    const bool denied = result.verdict == kRedirect;
    EXPECT_EQ(result.verdict, denied ? kRedirect : kPass);
    EXPECT_EQ(Counter(DNS_DENIED), before + (denied ? 1 : 0));
    const std::vector<dns_event> events = DnsEvents();
    EXPECT_EQ(!events.empty() && events[0].head.kind == L7_DENIED, denied);
    return denied;
  }
  bool IsDenied(const std::string& name) { return IsDenied(Ask(name)); }

  // The packet's L4 payload.
  Bytes Payload(const Bytes& frame, bool tcp) const {
    const size_t at = 14 + (v6() ? 40 : 20) + (tcp ? 20 : 8);
    return Bytes(frame.begin() + at, frame.end());
  }
};
INSTANTIATE_FAMILIES(DnsDeny);

TEST_P(DnsDeny, NothingIsDeniedByAnEmptyList) {
  EXPECT_FALSE(IsDenied("example.com"));
  EXPECT_FALSE(IsDenied(""));
}

TEST_P(DnsDeny, NameAloneIsThatNameAlone) {
  Deny({"example.com"});
  EXPECT_TRUE(IsDenied("example.com"));
  for (const char* other : {"www.example.com", "com", "", "xample.com", "eexample.com", "example.co",
                            "example.comm", "example.org", "example", "com.example", "exampl.com",
                            "examplf.com", "example.com.com"}) {
    EXPECT_FALSE(IsDenied(other)) << other;
  }
}

TEST_P(DnsDeny, DotIsTheDomainAndAllBelowIt) {
  Deny({".example.com"});
  for (const char* name : {"example.com", "www.example.com", "a.b.c.example.com"}) {
    EXPECT_TRUE(IsDenied(name)) << name;
  }
  for (const char* other : {"com", "wwwexample.com", "example.com.org", "notexample.com"}) {
    EXPECT_FALSE(IsDenied(other)) << other;
  }
}

TEST_P(DnsDeny, StarIsOnlyWhatIsBelow) {
  Deny({"*.example.com"});
  EXPECT_TRUE(IsDenied("www.example.com"));
  EXPECT_TRUE(IsDenied("a.b.example.com"));
  EXPECT_FALSE(IsDenied("example.com"));
  EXPECT_FALSE(IsDenied("example.org"));
}

TEST_P(DnsDeny, EntriesDoNotHideEachOther) {
  Deny({"*.b.test", ".test", "*.c.example", "c.example", "*.d.example", "x.d.example"});
  EXPECT_TRUE(IsDenied("b.test"));  // below .test
  EXPECT_TRUE(IsDenied("x.b.test"));
  EXPECT_TRUE(IsDenied("c.example"));
  EXPECT_TRUE(IsDenied("y.c.example"));
  EXPECT_FALSE(IsDenied("d.example"));
  EXPECT_TRUE(IsDenied("x.d.example"));
  EXPECT_TRUE(IsDenied("z.x.d.example"));
}

TEST_P(DnsDeny, CaseDoesNotMatterAndIsKept) {
  Deny({"example.com"});
  const Bytes message = Ask("eXaMPLE.CoM");
  const RunResult result = Out(Query(message));
  ASSERT_EQ(result.verdict, kRedirect);
  EXPECT_EQ(Sight().name, WireName("eXaMPLE.CoM"));
  const Bytes reply = Payload(result.frame, false);
  EXPECT_EQ(Bytes(reply.begin() + 12, reply.end()), Bytes(message.begin() + 12, message.end()));
  EXPECT_FALSE(IsDenied("examp\x0c"
                        "e.com"));  // 'l' without the bit of its case
  EXPECT_FALSE(IsDenied("ex\xc1mple.com"));
}

TEST_P(DnsDeny, DotsInsideOfLabelsAreNoBorders) {
  Deny({".example.com"});
  Bytes one = Concat({{11}, WireName("example.com")});  // one label, bytes that look like two
  one.resize(12);
  one.push_back(0);
  EXPECT_FALSE(IsDenied(Pack({.questions = {{.name = one}}})));
  const Bytes swallowed = Concat({{14, 'x', 7}, {'e', 'x', 'a', 'm', 'p', 'l', 'e'},
                                  {3, 'c', 'o', 'm'}, {1, 'y', 0}});
  EXPECT_FALSE(IsDenied(Pack({.questions = {{.name = swallowed}}})));
}

TEST_P(DnsDeny, LabelsByTheHundredDoNotGetRoundIt) {
  Deny({".z"});
  std::string many;
  for (int i = 0; i < 126; ++i) many += "a.";
  EXPECT_TRUE(IsDenied(many + "z"));
  EXPECT_FALSE(IsDenied(many + "y"));
  const std::string label(63, 'x');
  EXPECT_TRUE(IsDenied(label + "." + label + "." + label + "." + std::string(59, 'y') + ".z"));
}

TEST_P(DnsDeny, LongestNameOfAll) {
  const std::string label(63, 'x');
  const std::string name = label + "." + label + "." + label + "." + std::string(61, 'y');
  Deny({name});
  EXPECT_TRUE(IsDenied(name));
  EXPECT_FALSE(IsDenied(label + "." + label + "." + label + "." + std::string(60, 'y')));
}

TEST_P(DnsDeny, PointersDoNotGetRoundIt) {
  Deny({"example.com"});
  const Bytes labels = Concat({{7}, {'e', 'x', 'a', 'm', 'p', 'l', 'e'}, {3, 'c', 'o', 'm'}});
  const Bytes by_header = Concat({labels, PointerTo(4)});
  EXPECT_TRUE(IsDenied(Pack({.questions = {{.name = by_header}}})));
  // Forward, behind the question: malformed, but not for every server.
  const Bytes forward = Concat({Pack({.questions = {{.name = PointerTo(18)}}}), labels, {0}});
  EXPECT_TRUE(IsDenied(forward));
  const RunResult result = Out(Query(forward));
  EXPECT_EQ(Read(result.frame).bad_checksum, "");
  const Bytes reply = Payload(result.frame, false), plain = Ask("example.com");
  EXPECT_EQ(Bytes(reply.begin() + 12, reply.end()), Bytes(plain.begin() + 12, plain.end()));
}

TEST_P(DnsDeny, UdpIsAnsweredWithRefused) {
  Deny({"example.com"});
  for (const bool checksum : {true, false}) {
    if (v6() && !checksum) continue;
    DnsMessage ask{.id = 0xbeef, .questions = {{.name = WireName("example.com"), .type = kTypeAaaa}}};
    ask.answers = {{.name = {0}, .type = 41, .data = Bytes(31, 9)}};  // cut off, like EDNS
    Frame frame = Query(Pack(ask));
    std::get<Udp>(frame.l4).checksum = checksum;
    const Bytes sent = Build(frame);
    const RunResult result = datapath().Run("from_pod", sent);
    ASSERT_EQ(result.verdict, kRedirect);
    const Seen seen = Read(result.frame);
    EXPECT_EQ(seen.src, net().peer);
    EXPECT_EQ(seen.dst, net().pod);
    EXPECT_EQ(seen.sport, 53);
    EXPECT_EQ(seen.dport, kClientPort);
    EXPECT_EQ(seen.bad_checksum, "");
    EXPECT_EQ(Bytes(result.frame.begin(), result.frame.begin() + 6),
              Bytes(sent.begin() + 6, sent.begin() + 12));
    EXPECT_EQ(Bytes(result.frame.begin() + 6, result.frame.begin() + 12),
              Bytes(sent.begin(), sent.begin() + 6));
    Bytes wanted = {0xbe, 0xef, 0x81, 0x85, 0, 1, 0, 0, 0, 0, 0, 0};
    wanted = Concat({wanted, WireName("example.com"), {0, 28, 0, 1}});
    EXPECT_EQ(Payload(result.frame, false), wanted);
    EXPECT_EQ((Sight()).kind, L7_DENIED);
  }
  EXPECT_EQ(Counter(DNS_QUERIES), 0u);
}

TEST_P(DnsDeny, EveryLengthOfNameHasARightChecksum) {
  for (size_t size = 1; size <= 63; ++size) {
    const std::string name(size, 'q');
    Deny({name});
    const RunResult result = Out(Query(Ask(name)));
    ASSERT_EQ(result.verdict, kRedirect) << size;
    EXPECT_EQ(Read(result.frame).bad_checksum, "") << size;
    EXPECT_EQ(Payload(result.frame, false).size(), 12 + size + 2 + 4);
    DnsEvents();
  }
}

TEST_P(DnsDeny, TcpIsReset) {
  Deny({"example.com"});
  const Bytes sent = Build(Query(OverTcp(Ask("example.com")), true));
  const RunResult result = datapath().Run("from_pod", sent);
  ASSERT_EQ(result.verdict, kRedirect);
  const Seen seen = Read(result.frame);
  EXPECT_EQ(seen.src, net().peer);
  EXPECT_EQ(seen.dst, net().pod);
  EXPECT_EQ(seen.sport, 53);
  EXPECT_EQ(seen.dport, kClientPort);
  EXPECT_EQ(seen.bad_checksum, "");
  EXPECT_TRUE(Payload(result.frame, true).empty());
  const size_t tcp = 14 + (v6() ? 40 : 20);
  // Build() sends sequence 1, acknowledges 2.
  const uint8_t acked = static_cast<uint8_t>(1 + 2 + Ask("example.com").size());
  const Bytes wanted = {0, 0, 0, 2, 0, 0, 0, acked, 0x50, 0x14};
  EXPECT_EQ(Bytes(result.frame.begin() + tcp + 4, result.frame.begin() + tcp + 14), wanted);
  EXPECT_EQ(Sight().kind, L7_DENIED);
}

TEST_P(DnsDeny, OddHeadersDoNotGetRoundItOverTcpEither) {
  Deny({"example.com"});
  Bytes odd = Ask("example.com");
  odd[3] |= 0x40;  // the bit that must be zero
  EXPECT_TRUE(IsDenied(odd, /*tcp=*/true));
  EXPECT_TRUE(IsDenied(odd));
  odd = Ask("example.com");
  odd[5] = 2;  // two questions, said of one
  EXPECT_TRUE(IsDenied(odd, /*tcp=*/true));
  EXPECT_TRUE(IsDenied(odd));
}

TEST_P(DnsDeny, OneOfSeveralInASegmentIsEnough) {
  Deny({"bad.test"});
  const Bytes good = OverTcp(Ask("good.test"));
  Bytes stream = Concat({good, good, OverTcp(Ask("bad.test")), good});
  EXPECT_EQ(Out(Query(stream, true)).verdict, kRedirect);
  const std::vector<dns_event> events = DnsEvents();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].head.kind, L7_REQUEST);
  EXPECT_EQ(events[2].head.kind, L7_DENIED);
}

TEST_P(DnsDeny, OnlyQueriesOfClientsAreDenied) {
  Deny({"example.com"});
  DnsMessage message{.response = true, .questions = {{.name = WireName("example.com")}}};
  EXPECT_FALSE(IsDenied(Pack(message)));
  message.response = false;
  EXPECT_EQ(In(Response(Pack(message))).verdict, kPass);
  Frame served = Entering(Udp{kClientPort, 53});  // the pod is the server
  served.payload = Ask("example.com");
  EXPECT_EQ(In(served).verdict, kPass);
  Frame back = Leaving(Udp{53, kClientPort});
  back.payload = Ask("example.com");
  EXPECT_EQ(Out(back).verdict, kPass);
  EXPECT_EQ(Counter(DNS_DENIED), 0u);
}

TEST_P(DnsDeny, NameThatIsCutIsNotNamed) {
  Deny({"example.com"});
  const Bytes stream = OverTcp(Ask("example.com"));
  for (size_t size = 1; size < stream.size(); ++size) {
    EXPECT_EQ(Out(Query(Bytes(stream.begin(), stream.begin() + size), true)).verdict, kPass) << size;
  }
}

TEST_P(DnsDeny, IsADropToCountersAndFlows) {
  LoadDns({{"enable_flow_events", 1}});
  Deny({"other.test", "example.com"});
  Out(Query(Ask("example.com")));
  EXPECT_EQ(datapath().Metrics(DROP_DNS_DENIED, HOOK_FROM_POD).packets, 1u);
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_DROP);
  EXPECT_EQ(event.reason, DROP_DNS_DENIED);
  EXPECT_EQ(event.rule, 1u);
}

TEST_P(DnsDeny, ServiceIsTranslatedBothWays) {
  for (const uint64_t policy : {0, 1}) {
    LoadDns({{"enable_conntrack", 1}, {"enable_load_balancer", 1}, {"enable_policy", policy}});
    Deny({"example.com"});
    SetService(5300, IPPROTO_UDP, {{net().backend, 53}});
    Frame frame = Leaving(Udp{kClientPort, 5300}, net().service);
    frame.payload = Ask("example.com");
    for (int packet = 0; packet < 2; ++packet) {  // the first of its flow, then one that is known
      const RunResult refused = Out(frame);
      ASSERT_EQ(refused.verdict, kRedirect);
      EXPECT_EQ(Read(refused.frame).src, net().backend);
      EXPECT_EQ(Read(refused.frame).bad_checksum, "");
      const RunResult back = datapath().Run("to_pod", refused.frame);
      EXPECT_EQ(back.verdict, kPass);
      const Seen seen = Read(back.frame);
      EXPECT_EQ(seen.src, net().service);
      EXPECT_EQ(seen.sport, 5300);
      EXPECT_EQ(seen.dst, net().pod);
      EXPECT_EQ(seen.bad_checksum, "");
    }
    EXPECT_EQ(Counter(DNS_DENIED), 2u);
    EXPECT_EQ(Counter(DNS_RCODE_FIRST + 5), 2u);
  }
}

TEST_P(DnsDeny, AnswerPassesConntrackAndPolicyWithoutAService) {
  for (const uint64_t policy : {0, 1}) {
    LoadDns({{"enable_conntrack", 1}, {"enable_policy", policy}});
    Deny({"example.com"});
    const RunResult refused = Out(Query(Ask("example.com")));
    ASSERT_EQ(refused.verdict, kRedirect);
    EXPECT_EQ(datapath().Run("to_pod", refused.frame).verdict, kPass);
  }
}

}  // namespace
}  // namespace bonsai::testing
