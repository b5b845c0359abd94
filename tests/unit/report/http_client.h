// SPDX-License-Identifier: Apache-2.0
// The least HTTP that tests need, over loopback.
#pragma once

#include <string>

namespace bonsai::testing {

struct HttpAnswer {
  int code = 0;  // 0: no connection or no answer
  std::string head, body;
};
HttpAnswer HttpRequest(int port, const std::string& method, const std::string& path);
inline HttpAnswer HttpGet(int port, const std::string& path) {
  return HttpRequest(port, "GET", path);
}

// A TCP port of 127.0.0.1 that is free at this moment.
int FreePort();

}  // namespace bonsai::testing
