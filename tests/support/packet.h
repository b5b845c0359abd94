// SPDX-License-Identifier: Apache-2.0
// Frames for tests: built from a description with right lengths and checksums, and read back with
// every checksum verified. Ports, identifiers and lengths are in host byte order here.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace bonsai::testing {

using Bytes = std::vector<uint8_t>;

inline constexpr uint8_t kFin = 0x01;
inline constexpr uint8_t kSyn = 0x02;
inline constexpr uint8_t kRst = 0x04;
inline constexpr uint8_t kAck = 0x10;

struct Tcp {
  uint16_t sport = 0;
  uint16_t dport = 0;
  uint8_t flags = kAck;
};

struct Udp {
  uint16_t sport = 0;
  uint16_t dport = 0;
  bool checksum = true;
};

struct Sctp {
  uint16_t sport = 0;
  uint16_t dport = 0;
};

// ICMP or ICMPv6 by the family of the addresses; an error's quoted packet goes into `payload`.
struct Icmp {
  uint8_t type = 0;
  uint8_t code = 0;
  uint16_t id = 0;
};

// Any other protocol; its bytes go into `payload`.
struct Raw {
  uint8_t protocol = 0;
};

// One packet. `src` and `dst` are of one family and decide it.
struct Frame {
  std::string src;
  std::string dst;
  std::variant<Tcp, Udp, Sctp, Icmp, Raw> l4 = Tcp{};
  Bytes payload;
  std::vector<uint16_t> vlans;     // 802.1Q tags, outermost first
  uint16_t fragment_offset = 0;    // bytes; not 0: `payload` replaces the L4 header
  bool more_fragments = false;
  bool fragment_header = false;    // IPv6: a fragment header even if it is no fragment
  std::vector<uint8_t> extensions; // IPv6: option headers (0, 43, 60), 8 bytes each
  size_t ip_options = 0;           // IPv4: bytes of options, a multiple of 4
  size_t padding = 0;              // bytes behind the IP packet
};

Bytes Build(const Frame& frame);

// The IP packet of a frame as an ICMP error quotes it: no Ethernet header, at most `limit` bytes.
Bytes Quote(const Frame& frame, size_t limit = 64);

// What a frame says, read back. Addresses as text; ports 0 where there are none.
struct Seen {
  std::string src;
  std::string dst;
  uint16_t sport = 0;
  uint16_t dport = 0;
  std::string bad_checksum;  // the first wrong checksum, empty: all are right
};

Seen Read(const Bytes& frame);

// Reads a packet quoted at `offset` (an IP header); `bad_checksum` covers its IPv4 header only.
Seen ReadQuoted(const Bytes& frame, size_t offset);

}  // namespace bonsai::testing
