// SPDX-License-Identifier: Apache-2.0
// DNS messages for tests: built from a description, and read by a parser of its own that says what the
// datapath shall see in them. It shares nothing with the datapath but datapath/include/contract.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datapath/include/contract.h"
#include "tests/support/packet.h"

namespace bonsai::testing {

inline constexpr uint16_t kTypeA = 1, kTypeCname = 5, kTypeTxt = 16, kTypeAaaa = 28;

// "www.example.com" in wire format; labels may be any bytes but dots. "" is the root.
Bytes WireName(const std::string& name);
// A compression pointer.
Bytes PointerTo(uint16_t offset);
Bytes Concat(std::vector<Bytes> parts);

struct DnsQuestion {
  Bytes name;
  uint16_t type = kTypeA;
  uint16_t cls = 1;
};

struct DnsRecord {
  Bytes name;
  uint16_t type = kTypeA;
  Bytes data;
  uint16_t cls = 1;
};

struct DnsMessage {
  uint16_t id = 0x1234;
  bool response = false;
  uint8_t opcode = 0;
  bool truncated = false;
  bool recurse = true;
  uint8_t rcode = 0;
  std::vector<DnsQuestion> questions;
  std::vector<DnsRecord> answers;
};

Bytes Pack(const DnsMessage& message);
// Behind its length, as in a stream.
Bytes OverTcp(const Bytes& message);
DnsRecord AddressRecord(const Bytes& name, const std::string& address);

// What the datapath shall make of one message.
struct DnsSight {
  int kind = 0;        // enum l7_kind; 0: nothing
  uint16_t id = 0, type = 0;
  uint8_t rcode = 0, flags = 0;
  Bytes name;
  std::vector<Bytes> answers;  // 4 or 16 bytes
  bool whole = false;          // the question was read to its end
  size_t question_end = 0;     // behind it, in the message

  bool operator==(const DnsSight&) const = default;
};

DnsSight SightOf(const dns_event& event);  // `whole` and `question_end` are not in there

// All messages of a payload, in the order of their events; denials are not known here.
std::vector<DnsSight> ExpectUdp(const Bytes& payload);
std::vector<DnsSight> ExpectTcp(const Bytes& payload, bool to_server);

}  // namespace bonsai::testing
