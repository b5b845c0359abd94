// SPDX-License-Identifier: Apache-2.0
// What HTTP visibility has to make of a segment, written from the rules at the head of
// datapath/lib/http.h and from nothing of its code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bonsai::testing {

struct HttpSeen {
  uint8_t kind = 0;        // L7_REQUEST, L7_RESPONSE, L7_MALFORMED
  std::string method;      // of requests: "GET", ..., "other"
  std::string path, host;  // at most 256 and 128 bytes
  bool path_cut = false, host_cut = false;
  int status = 0;
  int minor = 0;           // not compared of what is malformed
  bool operator==(const HttpSeen&) const = default;
};

std::string ToString(const std::optional<HttpSeen>& seen);

// `to_server`, `from_server`: which of its ports are a server's. Nothing: no HTTP.
std::optional<HttpSeen> JudgeHttp(const std::string& segment, bool to_server, bool from_server);

}  // namespace bonsai::testing
