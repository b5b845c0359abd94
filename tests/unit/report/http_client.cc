// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/report/http_client.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdlib>

#include "agent/base/unique_fd.h"

namespace bonsai::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

HttpAnswer HttpRequest(int port, const std::string& method, const std::string& path) {
  HttpAnswer answer;
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return answer;
  }
  const std::string request = method + " " + path + " HTTP/1.0\r\nHost: localhost\r\n\r\n";
  ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string text;
  char buffer[4096];
  for (ssize_t size; (size = ::recv(fd.get(), buffer, sizeof(buffer), 0)) > 0;) {
    text.append(buffer, size);
  }
  const size_t end = text.find("\r\n\r\n");
  const size_t code = text.find(' ');
  if (end == std::string::npos || code > end) return answer;
  return {std::atoi(text.c_str() + code), text.substr(0, end), text.substr(end + 4)};
}

int FreePort() {
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return 0;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

}  // namespace bonsai::testing
