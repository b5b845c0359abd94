// SPDX-License-Identifier: Apache-2.0
// Thousands of broken messages: each passes as it is unless a name of it is denied, and what was seen
// in it is what another parser sees. Seeds are fixed; a failure prints its payload.
#include <random>

#include "tests/datapath/dns_fixture.h"

namespace bonsai::testing {
namespace {

constexpr int kRounds = 4000;

class DnsFuzz : public DnsTest {
 protected:
  void SetUp() override {
    DnsTest::SetUp();
    if (!IsSkipped()) LoadDns({{"enable_flow_events", 0}});
  }

  uint32_t Below(uint32_t limit) {
    return std::uniform_int_distribution<uint32_t>(0, limit - 1)(random_);
  }
  uint8_t Byte() { return static_cast<uint8_t>(Below(256)); }

  Bytes Name() {
    switch (Below(8)) {
      case 0: return PointerTo(static_cast<uint16_t>(Below(64)));
      case 1: return Concat({{1, 'a'}, PointerTo(static_cast<uint16_t>(Below(40)))});
      case 2: return WireName("");
      case 3: return WireName("bad.test");
      case 4: return WireName("x.BAD.test");
      default: break;
    }
    std::string name;
    const uint32_t labels = 1 + Below(Below(10) ? 5 : 128);
    for (uint32_t i = 0; i < labels; ++i) {
      const size_t size = 1 + Below(Below(5) ? 8 : 63);
      name += (i ? "." : "") + std::string(size, static_cast<char>('A' + Below(50)));
    }
    return WireName(name);
  }

  DnsRecord Record() {
    switch (Below(4)) {
      case 0: return AddressRecord(Name(), "2001:db8::1");
      case 1: return {.name = Name(), .type = static_cast<uint16_t>(Below(300)), .data = Bytes(Below(40), Byte())};
      default: return AddressRecord(PointerTo(12), "192.0.2.7");
    }
  }

  Bytes Message() {
    DnsMessage message{.id = static_cast<uint16_t>(Below(65536))};
    message.response = Below(2);
    message.opcode = Below(20) ? 0 : static_cast<uint8_t>(Below(16));
    message.truncated = !Below(8);
    message.rcode = static_cast<uint8_t>(Below(16));
    const uint32_t questions = Below(8) ? 1 : Below(4);
    for (uint32_t i = 0; i < questions; ++i) {
      message.questions.push_back({Name(), static_cast<uint16_t>(Below(70)), 1});
    }
    const uint32_t records = Below(2) ? 0 : Below(Below(10) ? 12 : 140);
    for (uint32_t i = 0; i < records; ++i) message.answers.push_back(Record());
    return Pack(message);
  }

  void Mutate(Bytes& bytes) {
    const uint32_t changes = Below(4);
    for (uint32_t i = 0; i < changes && !bytes.empty(); ++i) {
      const uint32_t at = Below(static_cast<uint32_t>(bytes.size()));
      switch (Below(5)) {
        case 0: bytes[at] = Byte(); break;
        case 1: bytes[at] ^= static_cast<uint8_t>(1 << Below(8)); break;
        case 2: bytes.resize(at); break;
        case 3: bytes[at] = 0xc0; break;
        case 4: bytes.insert(bytes.begin() + at, Byte()); break;
      }
    }
    if (bytes.size() > 1400) bytes.resize(1400);
  }

  // Whether dns-deny {".bad.test"} names it.
  static bool IsNamed(const DnsSight& sight, const Bytes& message) {
    if (!sight.whole || message[2] & 0x80) return false;
    static const Bytes kBad = WireName("bad.test");
    Bytes name = sight.name;
    for (uint8_t& byte : name) byte |= byte >= 'A' && byte <= 'Z' ? 0x20 : 0;
    for (size_t at = 0; at < name.size() && name[at] != 0; at += name[at] + 1u) {
      if (Bytes(name.begin() + at, name.end()) == kBad) return true;
    }
    return false;
  }

  void Check(const Bytes& payload, bool tcp) {
    const bool leaving = Below(2);
    Frame frame = leaving ? Query(payload, tcp) : Response(payload, tcp);
    std::vector<DnsSight> wanted = tcp ? ExpectTcp(payload, leaving) : ExpectUdp(payload);
    bool denied = false;
    size_t at = tcp ? 2 : 0;
    for (size_t i = 0; leaving && i < wanted.size(); ++i) {
      const Bytes message(payload.begin() + std::min(at, payload.size()), payload.end());
      if (tcp) at += 2 + (payload[at - 2] << 8 | payload[at - 1]);
      if (!IsNamed(wanted[i], message)) continue;
      wanted[i].kind = L7_DENIED;
      wanted.resize(i + 1);
      denied = true;
    }
    if (!denied) return ExpectSeen(leaving ? "from_pod" : "to_pod", frame, wanted);
    ++denied_;
    const RunResult result = Out(frame);
    EXPECT_EQ(result.verdict, kRedirect);
    EXPECT_EQ(Read(result.frame).bad_checksum, "");
    const std::vector<dns_event> events = DnsEvents();
    ASSERT_EQ(events.size(), wanted.size());
    EXPECT_EQ(events.back().head.kind, L7_DENIED);
    EXPECT_EQ(Bytes(events.back().name, events.back().name + events.back().name_len),
              wanted.back().name);
  }

  std::mt19937 random_{static_cast<uint32_t>(53 + GetParam())};
  int denied_ = 0;
};
INSTANTIATE_FAMILIES(DnsFuzz);

std::string Hex(const Bytes& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

TEST_P(DnsFuzz, EveryMessageIsSeenAsAnotherParserSeesIt) {
  Deny({".bad.test"});
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    Bytes payload = Message();
    Mutate(payload);
    if (payload.empty()) continue;
    SCOPED_TRACE(Hex(payload));
    Check(payload, false);
    Bytes stream = OverTcp(payload);
    while (Below(3) == 0 && stream.size() < 700) stream = Concat({stream, OverTcp(Message())});
    Mutate(stream);
    if (stream.empty()) continue;
    SCOPED_TRACE(Hex(stream));
    Check(stream, true);
  }
  EXPECT_GT(denied_, kRounds / 50);
  for (const uint32_t slot : {uint32_t{DNS_QUERIES}, uint32_t{DNS_MALFORMED},
                              uint32_t{DNS_RCODE_FIRST}, uint32_t{DNS_RCODE_FIRST} + 15}) {
    EXPECT_GT(Counter(slot), 10u) << slot;
  }
  EXPECT_EQ(Counter(DNS_LOST), 0u);
}

TEST_P(DnsFuzz, NoiseHarmsNothing) {
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    Bytes noise(1 + Below(300));
    for (uint8_t& byte : noise) byte = Byte();
    SCOPED_TRACE(Hex(noise));
    Check(noise, Below(2));
  }
}

}  // namespace
}  // namespace bonsai::testing
