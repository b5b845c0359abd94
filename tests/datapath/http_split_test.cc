// SPDX-License-Identifier: Apache-2.0
// Requests whose bytes are not in the linear part of a packet are read from wherever they are.
#include <bpf/bpf.h>
#include <net/if.h>

#include <arpa/inet.h>

#include <chrono>
#include <thread>

#include "agent/base/unique_fd.h"
#include "tests/datapath/http_fixture.h"
#include "tests/datapath/split.h"

namespace bonsai::testing {
namespace {

constexpr size_t kPayload = 6000;  // more than a page

class HttpSplit : public HttpTest {
 protected:
  void SetUp() override {
    HttpTest::SetUp();
    if (IsSkipped()) return;
    ns_ = std::make_unique<Netns>("httpsplit");
    ns_->MustExec("ip link add host0 mtu 9000 type veth peer name pod0 mtu 9000 && "
                  "ip link set host0 up && ip link set pod0 up");
    const NetnsScope scope(*ns_);
    link_.reset(bpf_link_create(datapath().ProgramFd("from_pod"),
                                static_cast<int>(if_nametoindex("host0")), BPF_TCX_INGRESS,
                                nullptr));
    if (link_.get() < 0) GTEST_SKIP() << "SKIPPED: the kernel has no TCX";
  }
  std::vector<http_event> Await() {
    for (int i = 0; i < 200; ++i) {
      if (auto events = Events(); !events.empty()) return events;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return {};
  }

  std::unique_ptr<Netns> ns_;
  base::UniqueFd link_;
};
INSTANTIATE_FAMILIES(HttpSplit);

TEST_P(HttpSplit, IsReadFromWhereverItIs) {
  const HttpSeen wanted = {.kind = L7_REQUEST, .method = "GET", .path = "/split",
                           .host = "web.example", .minor = 1};
  // Split behind Ethernet, inside the TCP header, the method, the target, behind all of the head.
  for (const uint16_t linear : {14, 60, 76, 80, 200}) {
    Frame frame = Segment("GET /split HTTP/1.1\r\nHost: web.example\r\n\r\n", {});
    frame.payload.resize(kPayload, 'x');
    SendSplit(*ns_, "pod0", Build(frame), linear);
    const std::vector<http_event> events = Await();
    ASSERT_EQ(events.size(), 1u) << linear;
    EXPECT_EQ(ToSeen(events[0]), wanted) << linear;
  }
  EXPECT_EQ(Counter(HTTP_GET), 5u);
}

}  // namespace
}  // namespace bonsai::testing
