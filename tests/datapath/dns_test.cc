// SPDX-License-Identifier: Apache-2.0
// What DNS visibility sees in messages, and that it leaves them alone.
#include <arpa/inet.h>

#include "tests/datapath/dns_fixture.h"

namespace bonsai::testing {
namespace {

class Dns : public DnsTest {
 protected:
  void SetUp() override {
    DnsTest::SetUp();
    if (!IsSkipped()) LoadDns();
  }
};
INSTANTIATE_FAMILIES(Dns);

const Bytes kName = WireName("www.Example.com");

DnsMessage Ask(const Bytes& name = kName, uint16_t type = kTypeA) {
  return {.questions = {{.name = name, .type = type}}};
}

DnsMessage Answer(const std::vector<DnsRecord>& answers, const Bytes& name = kName) {
  return {.response = true, .questions = {{.name = name}}, .answers = answers};
}

TEST_P(Dns, QueryIsSeenAtBothEnds) {
  const Bytes message = Pack(Ask(kName, kTypeAaaa));
  const DnsSight wanted = {.kind = L7_REQUEST, .id = 0x1234, .type = kTypeAaaa, .name = kName};
  ExpectSeen("from_pod", Query(message), {wanted});
  ExpectSeen("from_pod", Query(OverTcp(message), true), {wanted});
  Frame served = Entering(Udp{kClientPort, 53});
  served.payload = message;
  ExpectSeen("to_pod", served, {wanted});
  EXPECT_EQ(Counter(DNS_QUERIES), 3u);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 2u);
}

TEST_P(Dns, EventSaysWhereItWasSeen) {
  Out(Query(Pack(Ask())));
  const std::vector<dns_event> events = DnsEvents();
  ASSERT_EQ(events.size(), 1u);
  const l7_head& head = events[0].head;
  EXPECT_EQ(head.hook, HOOK_FROM_POD);
  EXPECT_EQ(head.family, GetParam());
  EXPECT_EQ(head.protocol, IPPROTO_UDP);
  EXPECT_EQ(ntohs(head.sport), kClientPort);
  EXPECT_EQ(ntohs(head.dport), 53);
  EXPECT_EQ(head.ifindex, kPodIfindex);
  EXPECT_NE(head.time_ns, 0u);
  uint8_t addr[16] = {};
  inet_pton(v6() ? AF_INET6 : AF_INET, net().pod.c_str(), addr);
  EXPECT_EQ(memcmp(head.saddr, addr, sizeof(addr)), 0);
}

TEST_P(Dns, AnswersAreKeptAndOtherRecordsSkipped) {
  const Bytes at = PointerTo(12);
  const Bytes message = Pack(Answer({{.name = at, .type = kTypeCname, .data = WireName("a.b")},
                                     AddressRecord(WireName("a.b"), "192.0.2.1"),
                                     {.name = at, .type = kTypeTxt, .data = Bytes(200, 7)},
                                     AddressRecord(at, "2001:db8::2"),
                                     {.name = at, .data = {1, 2, 3, 4}, .cls = 3},
                                     {.name = at, .data = {1, 2, 3, 4, 5}},
                                     AddressRecord({0}, "192.0.2.3")}));
  DnsSight wanted = {.kind = L7_RESPONSE, .id = 0x1234, .type = kTypeA, .name = kName};
  wanted.answers = {AddressRecord({}, "192.0.2.1").data, AddressRecord({}, "2001:db8::2").data,
                    AddressRecord({}, "192.0.2.3").data};
  ExpectSeen("to_pod", Response(message), {wanted});
  ExpectSeen("to_pod", Response(OverTcp(message), true), {wanted});
  EXPECT_EQ(Counter(DNS_RCODE_FIRST), 2u);
}

TEST_P(Dns, KeepsEightAddressesAndSaysThatThereAreMore) {
  std::vector<DnsRecord> records;
  for (int i = 1; i <= 8; ++i) {
    records.push_back(AddressRecord(PointerTo(12), "192.0.2." + std::to_string(i)));
  }
  datapath().Run("to_pod", Build(Response(Pack(Answer(records)))));
  DnsSight seen = Sight();
  EXPECT_EQ(seen.answers.size(), 8u);
  EXPECT_EQ(seen.flags, 0);
  records.push_back(AddressRecord(PointerTo(12), "192.0.2.9"));
  datapath().Run("to_pod", Build(Response(Pack(Answer(records)))));
  seen = Sight();
  EXPECT_EQ(seen.answers.size(), 8u);
  EXPECT_EQ(seen.answers[7], Bytes({192, 0, 2, 8}));
  EXPECT_EQ(seen.flags, DNS_ANSWERS_CUT);
}

TEST_P(Dns, CountsEveryResponseCode) {
  for (uint8_t rcode = 0; rcode < 16; ++rcode) {
    DnsMessage message = Answer({});
    message.rcode = rcode;
    In(Response(Pack(message)));
    EXPECT_EQ(Sight().rcode, rcode);
    for (uint8_t other = 0; other < 16; ++other) {
      EXPECT_EQ(Counter(DNS_RCODE_FIRST + other), other <= rcode ? 1u : 0u) << int{other};
    }
  }
  EXPECT_EQ(Counter(DNS_QUERIES) + Counter(DNS_MALFORMED) + Counter(DNS_DENIED), 0u);
}

TEST_P(Dns, TruncatedResponseSaysSoAndMayEndAnywhere) {
  DnsMessage message = Answer({AddressRecord(PointerTo(12), "192.0.2.1"),
                               AddressRecord(PointerTo(12), "192.0.2.2")});
  message.truncated = true;
  Bytes bytes = Pack(message);
  In(Response(bytes));
  EXPECT_EQ(Sight().flags, DNS_TRUNCATED);
  bytes.resize(bytes.size() - 3);
  In(Response(bytes));
  const DnsSight seen = Sight();
  EXPECT_EQ(seen.kind, L7_RESPONSE);
  EXPECT_EQ(seen.flags, DNS_TRUNCATED | DNS_ANSWERS_CUT);
  EXPECT_EQ(seen.answers.size(), 1u);
}

TEST_P(Dns, CutAtEveryByte) {
  const Bytes at = PointerTo(12);
  for (const bool response : {false, true}) {
    const Bytes whole = Pack(response ? Answer({{.name = at, .type = kTypeCname, .data = WireName("x")},
                                                AddressRecord(at, "192.0.2.1"),
                                                AddressRecord(WireName("y.z"), "2001:db8::1")})
                                      : Ask());
    for (size_t size = 1; size <= whole.size(); ++size) {
      SCOPED_TRACE(size);
      const Bytes udp(whole.begin(), whole.begin() + size);
      const Bytes stream = OverTcp(whole), tcp(stream.begin(), stream.begin() + size);
      const std::string program = response ? "to_pod" : "from_pod";
      ExpectSeen(program, response ? Response(udp) : Query(udp), ExpectUdp(udp));
      ExpectSeen(program, response ? Response(tcp, true) : Query(tcp, true), ExpectTcp(tcp, !response));
    }
  }
  EXPECT_GT(Counter(DNS_MALFORMED), 12u);  // over UDP only: a stream is cut, not malformed
}

TEST_P(Dns, NameOfAStreamThatIsCutIsMarked) {
  const Bytes stream = OverTcp(Pack(Ask(WireName("first.second.third"))));
  const Bytes part(stream.begin(), stream.begin() + 2 + 12 + 6 + 3);
  Out(Query(part, true));
  const DnsSight seen = Sight();
  EXPECT_EQ(seen.kind, L7_REQUEST);
  EXPECT_EQ(seen.flags, DNS_NAME_CUT | DNS_ANSWERS_CUT);
  EXPECT_EQ(seen.name, Bytes({5, 'f', 'i', 'r', 's', 't'}));
}

TEST_P(Dns, LabelsOf63BytesAndNoMore) {
  const Bytes longest = WireName(std::string(63, 'a') + ".b");
  ExpectSeen("from_pod", Query(Pack(Ask(longest))),
             {{.kind = L7_REQUEST, .id = 0x1234, .type = kTypeA, .name = longest}});
  Bytes longer = WireName(std::string(64, 'a') + ".b");
  Out(Query(Pack(Ask(longer))));
  EXPECT_EQ(Sight().kind, L7_MALFORMED);
  longer[0] = 0x80;
  Out(Query(Pack(Ask(longer))));
  EXPECT_EQ(Sight().kind, L7_MALFORMED);
}

TEST_P(Dns, NamesOf255BytesAndNoMore) {
  const std::string label(63, 'x'), three = label + "." + label + "." + label + ".";
  const Bytes longest = WireName(three + std::string(61, 'y'));
  ASSERT_EQ(longest.size(), 255u);
  ExpectSeen("from_pod", Query(Pack(Ask(longest))),
             {{.kind = L7_REQUEST, .id = 0x1234, .type = kTypeA, .name = longest}});
  Out(Query(Pack(Ask(WireName(three + std::string(62, 'y'))))));
  EXPECT_EQ(Sight().kind, L7_MALFORMED);
  std::string many;
  for (int i = 0; i < 127; ++i) many += i == 0 ? "a" : ".b";
  const Bytes labels = WireName(many);
  ASSERT_EQ(labels.size(), 255u);
  ExpectSeen("from_pod", Query(Pack(Ask(labels))),
             {{.kind = L7_REQUEST, .id = 0x1234, .type = kTypeA, .name = labels}});
  Out(Query(Pack(Ask(WireName(many + ".c")))));
  EXPECT_EQ(Sight().kind, L7_MALFORMED);
}

TEST_P(Dns, PointersAreFollowedAndNeverForEver) {
  const auto see = [&](const Bytes& name) {
    const Bytes message = Pack(Ask(name));
    ExpectSeen("from_pod", Query(message), ExpectUdp(message));
    return ExpectUdp(message).at(0);
  };
  EXPECT_EQ(see(PointerTo(12)).kind, L7_MALFORMED);                          // itself
  EXPECT_EQ(see(Concat({{1, 'a'}, PointerTo(12)})).kind, L7_MALFORMED);      // round and round
  EXPECT_EQ(see(Concat({{1, 'a'}, PointerTo(16)})).kind, L7_MALFORMED);      // forward
  EXPECT_EQ(see(PointerTo(0x3fff)).kind, L7_MALFORMED);                      // out of the message
  const DnsSight back = see(Concat({{1, 'a'}, PointerTo(4)}));               // a 0 in the header
  EXPECT_EQ(back.kind, L7_REQUEST);
  EXPECT_EQ(back.name, WireName("a"));
  Bytes chain = {1, 'a'};  // one pointer to the next, to the last, to the header
  for (uint16_t i = 1; i <= 100; ++i) chain = Concat({chain, PointerTo(14 + 2 * i)});
  EXPECT_EQ(see(Concat({chain, PointerTo(4)})).name, WireName("a"));
  EXPECT_EQ(see(Concat({chain, PointerTo(4)})).kind, L7_MALFORMED);  // forward, but read
}

TEST_P(Dns, QuestionsOtherThanOne) {
  Out(Query(Pack({})));
  EXPECT_EQ(Sight(), (DnsSight{.kind = L7_REQUEST, .id = 0x1234}));
  DnsMessage two = Ask();
  two.questions.push_back({.name = WireName("second")});
  Out(Query(Pack(two)));
  EXPECT_EQ(Sight().name, kName);
  two.response = true;
  two.answers = {AddressRecord(PointerTo(12), "192.0.2.1")};
  In(Response(Pack(two)));
  EXPECT_EQ(Sight().answers.size(), 1u);
  In(Response(Pack({.response = true, .rcode = 1})));
  EXPECT_EQ(Sight(), (DnsSight{.kind = L7_RESPONSE, .id = 0x1234, .rcode = 1}));
}

TEST_P(Dns, OtherOpcodesAreLeftAlone) {
  for (uint8_t opcode = 1; opcode < 16; ++opcode) {
    DnsMessage message = Ask();
    message.opcode = opcode;
    ExpectSeen("from_pod", Query(Pack(message)), {});
  }
  EXPECT_EQ(Counter(DNS_QUERIES) + Counter(DNS_MALFORMED), 0u);
}

TEST_P(Dns, OtherPortsAreLeftAlone) {
  Frame frame = Leaving(Udp{kClientPort, 5353});
  frame.payload = Pack(Ask());
  ExpectSeen("from_pod", frame, {});
  SetPort(5353);
  Out(frame);
  EXPECT_EQ(Sight().kind, L7_REQUEST);
}

TEST_P(Dns, EverySegmentMayHoldSeveralMessages) {
  const Bytes stream = Concat({OverTcp(Pack(Ask(WireName("one")))), OverTcp(Pack(Ask(WireName("two")))),
                               OverTcp(Pack(Ask(WireName("three"))))});
  const std::vector<DnsSight> wanted = ExpectTcp(stream, /*to_server=*/true);
  ASSERT_EQ(wanted.size(), 3u);
  ExpectSeen("from_pod", Query(stream, true), wanted);
  EXPECT_EQ(datapath().Metrics(REASON_FORWARDED, HOOK_FROM_POD).packets, 1u);
}

// The kernel allows 33 tail calls: two a short message.
TEST_P(Dns, EndsWithinASegmentWhereTailCallsDo) {
  const auto seen = [&](const std::string& name, int messages) {
    const Bytes message = OverTcp(Pack(Ask(WireName(name))));
    Bytes stream;
    for (int i = 0; i < messages; ++i) stream = Concat({stream, message});
    const Bytes packet = Build(Query(stream, true));
    const RunResult result = datapath().Run("from_pod", packet);
    EXPECT_EQ(result.verdict, kPass);
    EXPECT_EQ(result.frame, packet);
    return DnsEvents();
  };
  EXPECT_EQ(seen("example.com", 40).size(), 16u);
  std::string labels = "a";
  for (int i = 1; i < 127; ++i) labels += ".a";
  const std::vector<dns_event> events = seen(labels, 12);
  ASSERT_EQ(events.size(), 7u);  // five calls each, the last is left half read
  EXPECT_EQ(events[5].flags, 0);
  EXPECT_EQ(events[6].flags, DNS_NAME_CUT | DNS_ANSWERS_CUT);
}

// As a socket with UDP_SEGMENT hands them over.
TEST_P(Dns, EveryDatagramOfOnePacketIsAMessage) {
  const Bytes packet = Build(Query(Concat({Pack(Ask(WireName("one"))), Pack(Ask(WireName("two"))),
                                           Pack(Ask(WireName("x")))})));
  Deny({"x"});
  for (const uint32_t size : {21u, 0u}) {
    Bytes out(packet.size() + 256);
    __sk_buff skb = {};
    skb.ifindex = kPodIfindex;
    skb.gso_size = size;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_out = out.data(),
                .data_size_in = static_cast<uint32_t>(packet.size()),
                .data_size_out = static_cast<uint32_t>(out.size()), .ctx_in = &skb,
                .ctx_size_in = sizeof(skb), .repeat = 1);
    ASSERT_EQ(bpf_prog_test_run_opts(datapath().ProgramFd("from_pod"), &options), 0);
    const std::vector<dns_event> events = DnsEvents();
    ASSERT_EQ(events.size(), size == 0 ? 1u : 3u);
    EXPECT_EQ(SightOf(events[0]).name, WireName("one"));
    EXPECT_EQ(static_cast<int>(options.retval), size == 0 ? kPass : kRedirect);
    if (size == 0) continue;
    EXPECT_EQ(SightOf(events[1]).name, WireName("two"));
    EXPECT_EQ(events[2].head.kind, L7_DENIED);
  }
}

TEST_P(Dns, MiddleOfAStreamIsNoMessage) {
  const std::string text = "v=spf1 include:example.com and what else a large TXT record may hold";
  ExpectSeen("to_pod", Response(Bytes(text.begin(), text.end()), true), {});
  ExpectSeen("to_pod", Response(Bytes(1000, 0xff), true), {});
  EXPECT_EQ(Counter(DNS_MALFORMED), 0u);
}

// Records of addresses are full of small numbers and zeros, like headers.
TEST_P(Dns, MiddleOfManyAddressesIsNoMessageWhereverItBegins) {
  const Bytes a = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
  Bytes aaaa = {0xc0, 0x0c, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0x20, 0x01, 0x0d, 0xb8};
  aaaa.resize(28);
  for (const Bytes& record : {a, aaaa}) {
    Bytes records;
    for (int i = 0; i < 30; ++i) records.insert(records.end(), record.begin(), record.end());
    for (size_t begin = 0; begin < record.size(); ++begin) {
      SCOPED_TRACE(begin);
      ExpectSeen("to_pod", Response(Bytes(records.begin() + begin, records.end()), true), {});
    }
  }
  EXPECT_EQ(Counter(DNS_MALFORMED), 0u);
  EXPECT_EQ(Counter(DNS_QUERIES), 0u);
}

TEST_P(Dns, PaddingAndTrailingBytesAreNotRead) {
  const Bytes whole = Pack(Ask());
  Frame frame = Query(Bytes(whole.begin(), whole.begin() + 20));
  frame.padding = 64;
  Out(frame);
  EXPECT_EQ(Sight().kind, L7_MALFORMED);
  frame = Query(whole);
  frame.padding = 10;
  Out(frame);
  EXPECT_EQ(Sight().kind, L7_REQUEST);
}

TEST_P(Dns, FragmentsAreLeftAlone) {
  Frame frame = Query(Pack(Ask()));
  frame.more_fragments = true;
  ExpectSeen("from_pod", frame, {});
}

TEST_P(Dns, CountsGoOnWhenNobodyReads) {
  constexpr uint64_t kMany = 300;  // more than the ring has room for
  for (uint64_t i = 0; i < kMany; ++i) EXPECT_EQ(Out(Query(Pack(Ask()))).verdict, kPass);
  EXPECT_EQ(Counter(DNS_QUERIES), kMany);
  EXPECT_GT(Counter(DNS_LOST), 0u);
  EXPECT_EQ(DnsEvents().size() + Counter(DNS_LOST), kMany);
}

}  // namespace
}  // namespace bonsai::testing
