// SPDX-License-Identifier: Apache-2.0
// Nanoseconds a packet takes in from_pod and to_pod with and without HTTP visibility, by
// BPF_PROG_TEST_RUN: packet_bench prints a table. Needs root. The least of interleaved repetitions.
#include <string>
#include <vector>

#include "tests/bench/packet_table.h"

namespace bonsai::testing {
namespace {

constexpr uint32_t kPackets = 200000;
constexpr uint16_t kClient = 1000;

struct Case {
  const char* name;
  std::string payload;
  bool leaves;           // the pod, which is the client
  uint16_t server = 80;
};

std::vector<Case> Cases() {
  const std::string headers =
      "Host: web.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
      "Accept-Language: en-US,en;q=0.5\r\nConnection: keep-alive\r\n\r\n";
  return {{"bare acknowledgement", "", true},
          {"body to the client", std::string(1400, '\x9c'), false},
          {"body to the server, binary", std::string(1400, '\x9c'), true},
          {"body to the server, text", std::string(1400, 'a'), true},
          {"body on another port", std::string(1400, 'a'), true, 5000},
          {"request, Host first", "GET /index.html HTTP/1.1\r\n" + headers, true},
          {"response", "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 3000\r\n\r\n", false}};
}

Bytes Packet(const Ends& ends, const Case& what, uint8_t flags) {
  Frame frame{.src = what.leaves ? ends.pod : ends.peer, .dst = what.leaves ? ends.peer : ends.pod};
  frame.l4 = what.leaves ? Tcp{kClient, what.server, flags} : Tcp{what.server, kClient, flags};
  if (!(flags & kSyn)) frame.payload.assign(what.payload.begin(), what.payload.end());
  return Build(frame);
}

// The mean of one run of many packets of an established connection.
uint32_t Nanoseconds(Datapath& datapath, const Ends& ends, const Case& what) {
  const Case ask{"", "", true, what.server}, answer{"", "", false, what.server};
  datapath.Run("from_pod", Packet(ends, ask, kSyn));
  datapath.Run("to_pod", Packet(ends, answer, kSyn | kAck));
  datapath.Run("from_pod", Packet(ends, ask, kAck));
  return datapath.Run(what.leaves ? "from_pod" : "to_pod", Packet(ends, what, kAck), kPodIfindex,
                      kPackets).ns;
}

}  // namespace
}  // namespace bonsai::testing

int main() {
  using namespace bonsai::testing;
  return PrintTable(L7Feature{"enable_http_visibility", "http_ports", 80}, Cases(), Nanoseconds);
}
