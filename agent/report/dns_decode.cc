// SPDX-License-Identifier: Apache-2.0
#include "agent/report/dns_decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace bonsai::report {
namespace {

struct TypeName {
  uint16_t type;
  const char* name;
};

// By number. Source: IANA, "Resource Record (RR) TYPEs".
constexpr TypeName kTypes[] = {
    {1, "A"},           {2, "NS"},          {5, "CNAME"},      {6, "SOA"},        {12, "PTR"},
    {13, "HINFO"},      {15, "MX"},         {16, "TXT"},       {17, "RP"},        {18, "AFSDB"},
    {24, "SIG"},        {25, "KEY"},        {28, "AAAA"},      {29, "LOC"},       {33, "SRV"},
    {35, "NAPTR"},      {36, "KX"},         {37, "CERT"},      {39, "DNAME"},     {41, "OPT"},
    {42, "APL"},        {43, "DS"},         {44, "SSHFP"},     {45, "IPSECKEY"},  {46, "RRSIG"},
    {47, "NSEC"},       {48, "DNSKEY"},     {49, "DHCID"},     {50, "NSEC3"},     {51, "NSEC3PARAM"},
    {52, "TLSA"},       {53, "SMIMEA"},     {55, "HIP"},       {59, "CDS"},       {60, "CDNSKEY"},
    {61, "OPENPGPKEY"}, {62, "CSYNC"},      {63, "ZONEMD"},    {64, "SVCB"},      {65, "HTTPS"},
    {99, "SPF"},        {108, "EUI48"},     {109, "EUI64"},    {249, "TKEY"},     {250, "TSIG"},
    {251, "IXFR"},      {252, "AXFR"},      {253, "MAILB"},    {254, "MAILA"},    {255, "ANY"},
    {256, "URI"},       {257, "CAA"},       {32768, "TA"},     {32769, "DLV"}};

// RFC 6895, 2.3.
constexpr const char* kRcodes[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN",
                                   "NOTIMP",   "REFUSED", "YXDOMAIN", "YXRRSET",
                                   "NXRRSET",  "NOTAUTH", "NOTZONE",  "DSOTYPENI"};

void AppendEscaped(std::string& text, uint8_t byte) {
  if (byte <= 0x20 || byte >= 0x7f) {
    text += fmt::format("\\{:03}", byte);
    return;
  }
  if (std::strchr(".\\\"();@$", byte) != nullptr) text += '\\';
  text += static_cast<char>(byte);
}

tables::Address ToAddress(const dns_answer& answer) {
  tables::Address address;
  address.family = answer.family == 6 ? 6 : 4;
  std::memcpy(address.bytes, answer.addr, address.family == 6 ? 16 : 4);
  return address;
}

}  // namespace

std::string DnsName(std::span<const uint8_t> wire) {
  std::string text;
  size_t at = 0;
  while (at < wire.size() && wire[at] != 0) {
    const size_t end = std::min(wire.size(), at + 1 + wire[at]);
    for (++at; at < end; ++at) AppendEscaped(text, wire[at]);
    text += '.';
  }
  return text.empty() && !wire.empty() ? "." : text;
}

std::string DnsTypeName(uint16_t type) {
  const auto* known = std::lower_bound(std::begin(kTypes), std::end(kTypes), type,
                                       [](const TypeName& a, uint16_t b) { return a.type < b; });
  if (known != std::end(kTypes) && known->type == type) return known->name;
  return fmt::format("TYPE{}", type);
}

std::string DnsRcodeName(uint8_t rcode) {
  if (rcode < std::size(kRcodes)) return kRcodes[rcode];
  return fmt::format("RCODE{}", rcode);
}

DnsDetails DecodeDns(const dns_event& event) {
  const size_t length = std::min<size_t>(event.name_len, sizeof(event.name));
  DnsDetails details{.id = event.id,
                     .name = DnsName({event.name, length}),
                     .name_cut = (event.flags & DNS_NAME_CUT) != 0,
                     .answers_cut = (event.flags & DNS_ANSWERS_CUT) != 0,
                     .truncated = (event.flags & DNS_TRUNCATED) != 0};
  // Type 0 is no type (RFC 6895, 3.1): none was read.
  if (event.qtype != 0) details.type = DnsTypeName(event.qtype);
  if (event.head.kind == L7_RESPONSE) details.rcode = DnsRcodeName(event.rcode);
  const size_t answers = std::min<size_t>(event.answer_count, DNS_ANSWERS_KEPT);
  for (size_t i = 0; i < answers; ++i) details.answers.push_back(ToAddress(event.answers[i]));
  return details;
}

}  // namespace bonsai::report
