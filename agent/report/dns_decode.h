// SPDX-License-Identifier: Apache-2.0
// A DNS event of the datapath to words. Pure; nothing in the event is trusted: lengths are kept to the
// room there is, and all text is printable ASCII.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "agent/report/l7.h"
#include "datapath/include/contract.h"

namespace bonsai::report {

DnsDetails DecodeDns(const dns_event& event);

// A name in wire format without compression as zone files write it (RFC 1035, 5.1): final dot, "." for
// the root; what would mean something there behind a backslash, what is not printable as \DDD. Ends
// where `wire` does; "" for nothing.
std::string DnsName(std::span<const uint8_t> wire);

// "A", "AAAA", ...; "TYPE65280" (RFC 3597) for those without a name here.
std::string DnsTypeName(uint16_t type);

// "NOERROR", "NXDOMAIN", ...; "RCODE12" for those that are not assigned.
std::string DnsRcodeName(uint8_t rcode);

}  // namespace bonsai::report
