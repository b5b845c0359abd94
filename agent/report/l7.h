// SPDX-License-Identifier: Apache-2.0
// What layer 7 events tell, decoded. Values. Text is escaped: printable ASCII, whatever the packet held.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/tables/desired_state.h"

namespace bonsai::report {

struct DnsDetails {
  uint16_t id = 0;
  std::string name;                       // presentation format of RFC 1035, 5.1, with a final dot
  bool name_cut = false;                  // `name` is not the whole name
  std::string type;                       // "A", "AAAA", ..., "TYPE65280" (RFC 3597)
  std::string rcode;                      // of responses: "NOERROR", "NXDOMAIN", ..., "RCODE12"; else ""
  std::vector<tables::Address> answers;   // of responses, in their order
  bool answers_cut = false;               // there were more
  bool truncated = false;                 // the TC bit: the client will ask again over TCP
};

struct HttpDetails {
  std::string method;                     // of requests: "GET", ..., "other"; else ""
  std::string path;                       // of requests: the target as sent, escaped
  bool path_cut = false;
  std::string host;                       // "" when the first segment has none
  bool host_cut = false;
  uint16_t status = 0;                    // of responses; else 0
  uint8_t minor = 0;                      // HTTP/1.minor
};

}  // namespace bonsai::report
