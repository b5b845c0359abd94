// SPDX-License-Identifier: Apache-2.0
#include "agent/report/http_decode.h"

#include <fmt/format.h>

#include <algorithm>

namespace bonsai::report {
namespace {

template <size_t N>
std::string Text(const uint8_t (&bytes)[N], size_t length) {
  return EscapeBytes(std::span(bytes).first(std::min(length, N)));
}

}  // namespace

std::string EscapeBytes(std::span<const uint8_t> bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    if (byte == '\\') {
      text += "\\\\";
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += static_cast<char>(byte);
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return text;
}

std::string HttpMethodLabel(uint32_t method) {
  switch (method) {
#define X(symbol, value, label) \
  case value:                   \
    return label;
    HTTP_METHODS(X)
#undef X
    default:
      return "other";
  }
}

HttpDetails DecodeHttp(const http_event& event) {
  HttpDetails details{.minor = event.minor};
  switch (event.head.kind) {
    case L7_REQUEST:
      details.method = HttpMethodLabel(event.method);
      details.path = Text(event.path, event.path_len);
      details.path_cut = event.flags & HTTP_PATH_CUT || event.path_len > sizeof(event.path);
      details.host = Text(event.host, event.host_len);
      details.host_cut = event.flags & HTTP_HOST_CUT || event.host_len > sizeof(event.host);
      break;
    case L7_RESPONSE:
      details.status = event.status;
      break;
    default:
      break;
  }
  return details;
}

}  // namespace bonsai::report
