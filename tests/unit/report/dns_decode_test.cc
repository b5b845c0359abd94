// SPDX-License-Identifier: Apache-2.0
#include "agent/report/dns_decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "agent/tables/address.h"
#include "tests/support/dns.h"

namespace bonsai::report {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Shown(const std::string& name) {
  const std::vector<uint8_t> wire = bonsai::testing::WireName(name);
  return DnsName(wire);
}

std::string ShownWire(std::vector<uint8_t> wire) { return DnsName(wire); }

dns_event Event(const std::string& name, uint8_t kind = L7_REQUEST) {
  dns_event event = {};
  const std::vector<uint8_t> wire = bonsai::testing::WireName(name);
  event.head.kind = kind;
  event.id = 77;
  event.qtype = 28;
  event.name_len = static_cast<uint8_t>(wire.size());
  std::memcpy(event.name, wire.data(), wire.size());
  return event;
}

TEST(DnsName, IsWrittenAsInZoneFiles) {
  EXPECT_EQ(Shown("www.Example.COM"), "www.Example.COM.");
  EXPECT_EQ(Shown(""), ".");
  EXPECT_EQ(ShownWire({}), "");
  EXPECT_EQ(Shown("_dns-sd._udp.x"), "_dns-sd._udp.x.");
}

TEST(DnsName, EscapesWhatMeansSomethingElseThere) {
  EXPECT_EQ(ShownWire({3, 'a', '.', 'b', 1, 'c', 0}), "a\\.b.c.");
  EXPECT_EQ(ShownWire({5, '\\', '"', ';', '@', '$', 0}), "\\\\\\\"\\;\\@\\$.");
  EXPECT_EQ(ShownWire({2, '(', ')', 0}), "\\(\\).");
  EXPECT_EQ(ShownWire({5, 0, ' ', 0x7f, 0xff, '\n', 0}), "\\000\\032\\127\\255\\010.");
  EXPECT_EQ(ShownWire({4, 0x1b, '[', '3', '1', 0}), "\\027[31.");
}

TEST(DnsName, EveryByteComesOutAsPrintableAsciiAndAsNoOther) {
  std::set<std::string> shown;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = ShownWire({1, static_cast<uint8_t>(byte), 0});
    for (const char c : text) EXPECT_TRUE(c > 0x20 && c < 0x7f) << byte;
    EXPECT_TRUE(shown.insert(text).second) << text;
  }
}

TEST(DnsName, EndsWithItsBytesWhateverLengthsSay) {
  EXPECT_EQ(ShownWire({9, 'a', 'b'}), "ab.");
  EXPECT_EQ(ShownWire({1, 'a'}), "a.");
  EXPECT_EQ(ShownWire({255}), ".");
  EXPECT_EQ(ShownWire({1, 'a', 0, 1, 'b', 0}), "a.");
}

TEST(DnsDecode, QueryHasNoCodeAndNoAnswers) {
  const DnsDetails details = DecodeDns(Event("example.com"));
  EXPECT_EQ(details.id, 77);
  EXPECT_EQ(details.name, "example.com.");
  EXPECT_EQ(details.type, "AAAA");
  EXPECT_EQ(details.rcode, "");
  EXPECT_THAT(details.answers, IsEmpty());
  EXPECT_FALSE(details.name_cut || details.answers_cut || details.truncated);
}

TEST(DnsDecode, ResponseHasCodeAnswersAndFlags) {
  dns_event event = Event("example.com", L7_RESPONSE);
  event.rcode = 3;
  event.flags = DNS_NAME_CUT | DNS_ANSWERS_CUT | DNS_TRUNCATED;
  event.answer_count = 2;
  event.answers[0] = {.addr = {192, 0, 2, 1}, .family = 4, .pad = {}};
  event.answers[1] = {.addr = {0x20, 1, 0xd, 0xb8}, .family = 6, .pad = {}};
  const DnsDetails details = DecodeDns(event);
  EXPECT_EQ(details.rcode, "NXDOMAIN");
  EXPECT_TRUE(details.name_cut && details.answers_cut && details.truncated);
  ASSERT_EQ(details.answers.size(), 2u);
  EXPECT_EQ(tables::ToString(details.answers[0]), "192.0.2.1");
  EXPECT_EQ(tables::ToString(details.answers[1]), "2001:db8::");
}

TEST(DnsDecode, WithoutAQuestionThereIsNoNameAndNoType) {
  dns_event event = {};
  event.head.kind = L7_RESPONSE;
  const DnsDetails details = DecodeDns(event);
  EXPECT_EQ(details.name, "");
  EXPECT_EQ(details.type, "");
  EXPECT_EQ(details.rcode, "NOERROR");
}

TEST(DnsDecode, NamesTypesAndCodes) {
  EXPECT_EQ(DnsTypeName(1), "A");
  EXPECT_EQ(DnsTypeName(65), "HTTPS");
  EXPECT_EQ(DnsTypeName(257), "CAA");
  EXPECT_EQ(DnsTypeName(255), "ANY");
  EXPECT_EQ(DnsTypeName(32769), "DLV");
  EXPECT_EQ(DnsTypeName(0), "TYPE0");
  EXPECT_EQ(DnsTypeName(65280), "TYPE65280");
  EXPECT_EQ(DnsTypeName(65535), "TYPE65535");
  EXPECT_EQ(DnsRcodeName(0), "NOERROR");
  EXPECT_EQ(DnsRcodeName(11), "DSOTYPENI");
  EXPECT_EQ(DnsRcodeName(12), "RCODE12");
  EXPECT_EQ(DnsRcodeName(255), "RCODE255");
}

TEST(DnsDecode, TakesAnyBytes) {
  std::mt19937 random(1035);
  for (int round = 0; round < 20000; ++round) {
    dns_event event;
    auto* bytes = reinterpret_cast<uint8_t*>(&event);
    for (size_t i = 0; i < sizeof(event); ++i) bytes[i] = static_cast<uint8_t>(random());
    const DnsDetails details = DecodeDns(event);
    EXPECT_LE(details.answers.size(), size_t{DNS_ANSWERS_KEPT});
    EXPECT_LE(details.name.size(), 4 * sizeof(event.name));
    for (const std::string& text : {details.name, details.type, details.rcode}) {
      for (const char c : text) ASSERT_TRUE(c > 0x20 && c < 0x7f);
    }
  }
}

}  // namespace
}  // namespace bonsai::report
