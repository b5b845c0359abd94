// SPDX-License-Identifier: Apache-2.0
#include "tests/support/packet.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace bonsai::testing {
namespace {

constexpr uint8_t kFragmentHeader = 44;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

bool IsV6(const std::string& address) { return address.find(':') != std::string::npos; }

void Add16(Bytes& to, uint16_t value) {
  to.push_back(value >> 8);
  to.push_back(value & 0xff);
}

void Set16(Bytes& bytes, size_t at, uint16_t value) {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

uint16_t Get16(const Bytes& bytes, size_t at) { return bytes.at(at) << 8 | bytes.at(at + 1); }

void Append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }

Bytes Address(const std::string& text) {
  Bytes bytes(IsV6(text) ? 16 : 4);
  inet_pton(IsV6(text) ? AF_INET6 : AF_INET, text.c_str(), bytes.data());
  return bytes;
}

std::string Text(const Bytes& frame, size_t at, bool v6) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  inet_ntop(v6 ? AF_INET6 : AF_INET, frame.data() + at, text.data(), text.size());
  return text.data();
}

// One's-complement sum over `bytes`, not yet folded or inverted.
uint32_t Sum(const Bytes& bytes, size_t from, size_t to) {
  uint32_t sum = 0;
  for (size_t i = from; i < to; i += 2) sum += bytes[i] << 8 | (i + 1 < to ? bytes[i + 1] : 0);
  return sum;
}

uint16_t Fold(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

uint32_t PseudoHeader(const Bytes& src, const Bytes& dst, uint8_t protocol, size_t length) {
  return Sum(src, 0, src.size()) + Sum(dst, 0, dst.size()) + protocol + length;
}

uint8_t Protocol(const Frame& frame) {
  const bool v6 = IsV6(frame.src);
  return std::visit(Overloaded{[](const Tcp&) -> uint8_t { return IPPROTO_TCP; },
                               [](const Udp&) -> uint8_t { return IPPROTO_UDP; },
                               [](const Sctp&) -> uint8_t { return IPPROTO_SCTP; },
                               [v6](const Icmp&) -> uint8_t {
                                 return v6 ? uint8_t{IPPROTO_ICMPV6} : uint8_t{IPPROTO_ICMP};
                               },
                               [](const Raw& raw) -> uint8_t { return raw.protocol; }},
                    frame.l4);
}

Bytes L4Header(const Frame& frame) {
  Bytes header;
  std::visit(Overloaded{[&](const Tcp& tcp) {
                          Add16(header, tcp.sport);
                          Add16(header, tcp.dport);
                          Append(header, {0, 0, 0, 1, 0, 0, 0, 2, 0x50, tcp.flags, 0x10, 0});
                          Append(header, {0, 0, 0, 0});
                        },
                        [&](const Udp& udp) {
                          Add16(header, udp.sport);
                          Add16(header, udp.dport);
                          Add16(header, 8 + frame.payload.size());
                          Add16(header, 0);
                        },
                        [&](const Sctp& sctp) {
                          Add16(header, sctp.sport);
                          Add16(header, sctp.dport);
                          Append(header, {0, 0, 0, 1, 0, 0, 0, 0});
                        },
                        [&](const Icmp& icmp) {
                          Append(header, {icmp.type, icmp.code, 0, 0});
                          Add16(header, icmp.id);
                          Add16(header, 1);
                        },
                        [](const Raw&) {}},
             frame.l4);
  return header;
}

// Offset of the checksum in the L4 header, 0: it has none that we fill in.
size_t ChecksumOffset(uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP: return 16;
    case IPPROTO_UDP: return 6;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: return 2;
    default: return 0;
  }
}

Bytes L4(const Frame& frame) {
  if (frame.fragment_offset) return frame.payload;
  Bytes l4 = L4Header(frame);
  Append(l4, frame.payload);
  const uint8_t protocol = Protocol(frame);
  const size_t at = ChecksumOffset(protocol);
  const auto* udp = std::get_if<Udp>(&frame.l4);
  if (!at || l4.size() < at + 2 || (udp && !udp->checksum)) return l4;
  uint32_t sum = Sum(l4, 0, l4.size());
  if (protocol != IPPROTO_ICMP)
    sum += PseudoHeader(Address(frame.src), Address(frame.dst), protocol, l4.size());
  uint16_t check = ~Fold(sum);
  if (protocol == IPPROTO_UDP && !check) check = 0xffff;
  Set16(l4, at, check);
  return l4;
}

Bytes Ipv4Packet(const Frame& frame) {
  const Bytes l4 = L4(frame);
  const size_t header = 20 + frame.ip_options;
  Bytes packet = {static_cast<uint8_t>(0x40 | header / 4), 0};
  Add16(packet, header + l4.size());
  Add16(packet, 0x1234);
  Add16(packet, (frame.more_fragments ? 0x2000 : 0) | frame.fragment_offset / 8);
  Append(packet, {64, Protocol(frame), 0, 0});
  Append(packet, Address(frame.src));
  Append(packet, Address(frame.dst));
  packet.resize(header, 1 /* no operation */);
  Set16(packet, 10, ~Fold(Sum(packet, 0, packet.size())));
  Append(packet, l4);
  return packet;
}

Bytes Ipv6Packet(const Frame& frame) {
  const Bytes l4 = L4(frame);
  std::vector<uint8_t> chain = frame.extensions;
  const bool fragment = frame.fragment_header || frame.more_fragments || frame.fragment_offset;
  if (fragment) chain.push_back(kFragmentHeader);
  chain.push_back(Protocol(frame));
  Bytes packet = {0x60, 0, 0, 0};
  Add16(packet, 8 * (chain.size() - 1) + l4.size());
  Append(packet, {chain[0], 64});
  Append(packet, Address(frame.src));
  Append(packet, Address(frame.dst));
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    if (chain[i] == kFragmentHeader) {
      Append(packet, {chain[i + 1], 0});
      Add16(packet, frame.fragment_offset | (frame.more_fragments ? 1 : 0));
      Append(packet, {0, 0, 0, 9});
    } else {
      Append(packet, {chain[i + 1], 0, 1, 4, 0, 0, 0, 0});  // PadN
    }
  }
  Append(packet, l4);
  return packet;
}

Bytes IpPacket(const Frame& frame) {
  return IsV6(frame.src) ? Ipv6Packet(frame) : Ipv4Packet(frame);
}

// Where the L4 header of a built frame is, and its protocol; later fragments have none.
struct Layout {
  bool v6 = false;
  size_t l3 = 14;
  size_t l4 = 0;
  size_t end = 0;
  uint8_t protocol = 0;
  bool later = false;
  bool fragment = false;
};

Layout Measure(const Bytes& frame, size_t l3) {
  Layout layout = {.v6 = frame.at(l3) >> 4 == 6, .l3 = l3};
  if (!layout.v6) {
    layout.l4 = l3 + (frame[l3] & 0xf) * 4;
    layout.end = l3 + Get16(frame, l3 + 2);
    layout.protocol = frame[l3 + 9];
    layout.later = Get16(frame, l3 + 6) & 0x1fff;
    layout.fragment = Get16(frame, l3 + 6) & 0x3fff;
    return layout;
  }
  layout.l4 = l3 + 40;
  layout.end = l3 + 40 + Get16(frame, l3 + 4);
  layout.protocol = frame[l3 + 6];
  while (layout.protocol == 0 || layout.protocol == 43 || layout.protocol == 60 ||
         layout.protocol == kFragmentHeader) {
    if (layout.protocol == kFragmentHeader) {
      layout.later = layout.later || Get16(frame, layout.l4 + 2) & 0xfff8;
      layout.fragment = layout.fragment || Get16(frame, layout.l4 + 2) & 0xfff9;
    }
    layout.protocol = frame.at(layout.l4);
    layout.l4 += 8;
  }
  return layout;
}

Seen ReadAddresses(const Bytes& frame, const Layout& layout) {
  const size_t src = layout.l3 + (layout.v6 ? 8 : 12);
  Seen seen = {.src = Text(frame, src, layout.v6),
               .dst = Text(frame, src + (layout.v6 ? 16 : 4), layout.v6)};
  const bool ports = layout.protocol == IPPROTO_TCP || layout.protocol == IPPROTO_UDP ||
                     layout.protocol == IPPROTO_SCTP;
  if (ports && !layout.later) {
    seen.sport = Get16(frame, layout.l4);
    seen.dport = Get16(frame, layout.l4 + 2);
  }
  if (!layout.v6) {
    const size_t header = (frame[layout.l3] & 0xf) * 4;
    if (Fold(Sum(frame, layout.l3, layout.l3 + header)) != 0xffff)
      seen.bad_checksum = "IPv4 header";
  }
  return seen;
}

bool L4ChecksumIsRight(const Bytes& frame, const Layout& layout) {
  const size_t at = ChecksumOffset(layout.protocol);
  if (!at || layout.fragment) return true;
  if (layout.protocol == IPPROTO_UDP && Get16(frame, layout.l4 + at) == 0) return true;
  uint32_t sum = Sum(frame, layout.l4, layout.end);
  if (layout.protocol != IPPROTO_ICMP) {
    const size_t src = layout.l3 + (layout.v6 ? 8 : 12);
    const size_t size = layout.v6 ? 16 : 4;
    sum += Sum(frame, src, src + 2 * size) + layout.protocol + (layout.end - layout.l4);
  }
  return Fold(sum) == 0xffff;
}

}  // namespace

Bytes Build(const Frame& frame) {
  Bytes bytes = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  for (const uint16_t vlan : frame.vlans) {
    Add16(bytes, 0x8100);
    Add16(bytes, vlan);
  }
  Add16(bytes, IsV6(frame.src) ? 0x86dd : 0x0800);
  Append(bytes, IpPacket(frame));
  bytes.resize(bytes.size() + frame.padding, 0xa5);
  return bytes;
}

Bytes Quote(const Frame& frame, size_t limit) {
  Bytes packet = IpPacket(frame);
  packet.resize(std::min(packet.size(), limit));
  return packet;
}

Seen Read(const Bytes& frame) {
  const Layout layout = Measure(frame, 14);
  Seen seen = ReadAddresses(frame, layout);
  if (seen.bad_checksum.empty() && !L4ChecksumIsRight(frame, layout)) seen.bad_checksum = "L4";
  return seen;
}

Seen ReadQuoted(const Bytes& frame, size_t offset) {
  return ReadAddresses(frame, Measure(frame, offset));
}

}  // namespace bonsai::testing
