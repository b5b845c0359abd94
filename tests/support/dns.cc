// SPDX-License-Identifier: Apache-2.0
#include "tests/support/dns.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

namespace bonsai::testing {
namespace {

constexpr size_t kHeader = 12;
constexpr int kNameSteps = 256, kRecordSteps = 128;

void Add16(Bytes& to, size_t value) {
  to.push_back(static_cast<uint8_t>(value >> 8));
  to.push_back(static_cast<uint8_t>(value));
}

void Append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }

enum class End { kDone, kShort, kBad, kTired };

// A message as far as it is there.
class Reader {
 public:
  Reader(Bytes bytes, bool partial) : bytes_(std::move(bytes)), partial_(partial) {}

  DnsSight Read() {
    DnsSight sight;
    if (Byte(2) >> 3 & 15) return sight;
    const bool response = Byte(2) & 0x80;
    sight = {.kind = response ? L7_RESPONSE : L7_REQUEST, .id = Word(0)};
    sight.rcode = Byte(3) & 15;
    if (Byte(2) & 2) sight.flags |= DNS_TRUNCATED;
    int answers_at = kHeader;
    if (Word(4) != 0) answers_at = Question(sight);
    if (response && answers_at > 0) Answers(sight, answers_at);
    return sight;
  }

 private:
  uint8_t Byte(size_t at) const { return bytes_[at]; }
  uint16_t Word(size_t at) const { return static_cast<uint16_t>(bytes_[at] << 8 | bytes_[at + 1]); }
  bool Has(size_t at, size_t size) const { return at + size <= bytes_.size(); }

  void Short(DnsSight& sight, uint8_t flags) const {
    if (partial_) {
      sight.flags |= flags;
    } else {
      sight.kind = L7_MALFORMED;
    }
  }

  End Name(Bytes& name, size_t& end, bool& forward) const {
    size_t at = kHeader;
    std::optional<size_t> behind;
    for (int step = 0; step < kNameSteps; ++step) {
      if (!Has(at, 1)) return End::kShort;
      if (Byte(at) >= 0xc0) {
        if (!Has(at, 2)) return End::kShort;
        const size_t target = Word(at) & 0x3fff;
        if (!behind) behind = at + 2;
        forward |= target >= at;
        at = target;
        continue;
      }
      const size_t size = Byte(at);
      if (size > 63 || name.size() + size + 1 + (size > 0 ? 1 : 0) > 255) return End::kBad;
      if (!Has(at, size + 1)) return End::kShort;
      name.insert(name.end(), bytes_.begin() + at, bytes_.begin() + at + size + 1);
      at += size + 1;
      if (size > 0) continue;
      end = behind.value_or(at);
      return End::kDone;
    }
    return End::kBad;
  }

  // Where the records begin, -1 if they are out of reach.
  int Question(DnsSight& sight) const {
    bool forward = false;
    size_t end = 0;
    const End how = Name(sight.name, end, forward);
    if (how == End::kBad) sight.kind = L7_MALFORMED;
    if (how == End::kShort) Short(sight, DNS_NAME_CUT | DNS_ANSWERS_CUT);
    if (how != End::kDone) return -1;
    if (!Has(end, 4)) {
      Short(sight, DNS_ANSWERS_CUT);
      return -1;
    }
    sight.type = Word(end);
    sight.whole = true;
    sight.question_end = end + 4;
    if (forward) sight.kind = L7_MALFORMED;
    return forward ? -1 : static_cast<int>(end + 4);
  }

  // A record, or a question when `question`.
  End Skip(size_t& at, int& steps, bool question, DnsSight& sight, bool& full) const {
    while (true) {
      if (++steps > kRecordSteps) return End::kTired;
      if (!Has(at, 1)) return End::kShort;
      const uint8_t size = Byte(at);
      if (size >= 64 && size < 0xc0) return End::kBad;
      at += size >= 0xc0 ? 2 : size + 1;
      if (size == 0 || size >= 0xc0) break;
    }
    if (question) {
      at += 4;
      return End::kDone;
    }
    if (!Has(at, 10)) return End::kShort;
    const size_t data = at + 10, size = Word(at + 8);
    if (!Has(data, size)) return End::kShort;
    const uint16_t type = Word(at);
    const bool address = (type == kTypeA && size == 4) || (type == kTypeAaaa && size == 16);
    if (address && Word(at + 2) == 1) {
      full = sight.answers.size() == DNS_ANSWERS_KEPT;
      if (!full) sight.answers.emplace_back(bytes_.begin() + data, bytes_.begin() + data + size);
    }
    at = data + size;
    return End::kDone;
  }

  void Answers(DnsSight& sight, size_t at) const {
    int left = Word(6), questions = std::max(0, Word(4) - 1), steps = 0;
    bool full = false;
    while (left > 0 && !full) {
      const End how = Skip(at, steps, questions > 0, sight, full);
      if (how == End::kBad) sight.kind = L7_MALFORMED;
      if (how == End::kTired) sight.flags |= DNS_ANSWERS_CUT;
      if (how == End::kShort && sight.flags & DNS_TRUNCATED) {
        sight.flags |= DNS_ANSWERS_CUT;
      } else if (how == End::kShort) {
        Short(sight, DNS_ANSWERS_CUT);
      }
      if (how != End::kDone) return;
      --(questions > 0 ? questions : left);
    }
    // The last step finds that nothing is left.
    if (full || steps == kRecordSteps) sight.flags |= DNS_ANSWERS_CUT;
  }

  Bytes bytes_;
  bool partial_;
};

// To a server go queries with a question, from it come responses with at most one; all else is the middle
// of a message.
bool Begins(const Bytes& message, bool to_server) {
  const int questions = message[4] << 8 | message[5];
  const bool response = (message[2] & 0x80) != 0;
  if (response == to_server) return false;
  return response ? questions <= 1 && (message[3] & 0x40) == 0 : questions >= 1 && questions <= 255;
}

}  // namespace

Bytes WireName(const std::string& name) {
  Bytes wire;
  size_t at = 0;
  while (at < name.size()) {
    const size_t dot = std::min(name.find('.', at), name.size());
    wire.push_back(static_cast<uint8_t>(dot - at));
    wire.insert(wire.end(), name.begin() + at, name.begin() + dot);
    at = dot + 1;
  }
  wire.push_back(0);
  return wire;
}

Bytes PointerTo(uint16_t offset) {
  return {static_cast<uint8_t>(0xc0 | offset >> 8), static_cast<uint8_t>(offset)};
}

Bytes Concat(std::vector<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) Append(all, part);
  return all;
}

Bytes Pack(const DnsMessage& message) {
  Bytes bytes;
  Add16(bytes, message.id);
  bytes.push_back(static_cast<uint8_t>((message.response ? 0x80 : 0) | message.opcode << 3 |
                                       (message.truncated ? 2 : 0) | (message.recurse ? 1 : 0)));
  bytes.push_back(message.rcode);
  Add16(bytes, message.questions.size());
  Add16(bytes, message.answers.size());
  Add16(bytes, 0);
  Add16(bytes, 0);
  for (const DnsQuestion& question : message.questions) {
    Append(bytes, question.name);
    Add16(bytes, question.type);
    Add16(bytes, question.cls);
  }
  for (const DnsRecord& record : message.answers) {
    Append(bytes, record.name);
    Add16(bytes, record.type);
    Add16(bytes, record.cls);
    Append(bytes, {0, 0, 0, 60});
    Add16(bytes, record.data.size());
    Append(bytes, record.data);
  }
  return bytes;
}

Bytes OverTcp(const Bytes& message) {
  Bytes bytes;
  Add16(bytes, message.size());
  Append(bytes, message);
  return bytes;
}

DnsRecord AddressRecord(const Bytes& name, const std::string& address) {
  const bool v6 = address.find(':') != std::string::npos;
  DnsRecord record{.name = name, .type = v6 ? kTypeAaaa : kTypeA, .data = Bytes(v6 ? 16 : 4)};
  inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(), record.data.data());
  return record;
}

DnsSight SightOf(const dns_event& event) {
  DnsSight sight{.kind = event.head.kind, .id = event.id, .type = event.qtype,
                 .rcode = event.rcode, .flags = event.flags};
  sight.name.assign(event.name, event.name + event.name_len);
  for (int i = 0; i < event.answer_count; ++i) {
    const dns_answer& answer = event.answers[i];
    sight.answers.emplace_back(answer.addr, answer.addr + (answer.family == 4 ? 4 : 16));
  }
  return sight;
}

std::vector<DnsSight> ExpectUdp(const Bytes& payload) {
  if (payload.size() < kHeader) return {DnsSight{.kind = L7_MALFORMED}};
  const DnsSight sight = Reader(payload, false).Read();
  if (sight.kind == 0) return {};
  return {sight};
}

std::vector<DnsSight> ExpectTcp(const Bytes& payload, bool to_server) {
  std::vector<DnsSight> sights;
  size_t at = 0;
  while (at + 2 + kHeader <= payload.size()) {
    const size_t size = payload[at] << 8 | payload[at + 1], begin = at + 2;
    if (size < kHeader) break;
    const size_t there = std::min(size, payload.size() - begin);
    const Bytes message(payload.begin() + begin, payload.begin() + begin + there);
    if (!Begins(message, to_server)) break;
    const DnsSight sight = Reader(message, there < size).Read();
    if (sight.kind == 0) break;
    sights.push_back(sight);
    at = begin + size;
  }
  return sights;
}

}  // namespace bonsai::testing
