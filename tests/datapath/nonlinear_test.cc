// SPDX-License-Identifier: Apache-2.0
// Packets whose headers are not in the linear part, as some drivers deliver them.
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "agent/base/unique_fd.h"
#include "tests/datapath/fixture.h"
#include "tests/datapath/split.h"
#include "tests/support/netns.h"

namespace bonsai::testing {
namespace {

constexpr size_t kPayload = 6000;  // more than a page: the kernel then splits it as announced

class Nonlinear : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (IsSkipped()) return;
    Load(With({{"flow_aggregation", 0}, {"enable_conntrack", 1}}));
    ns_ = std::make_unique<Netns>("nonlin");
    ns_->MustExec("ip link add host0 mtu 9000 type veth peer name pod0 mtu 9000 && "
                  "ip link set host0 up && ip link set pod0 up");
    const NetnsScope scope(*ns_);
    link_.reset(bpf_link_create(datapath().ProgramFd("from_pod"),
                                static_cast<int>(if_nametoindex("host0")), BPF_TCX_INGRESS,
                                nullptr));
    if (link_.get() < 0) GTEST_SKIP() << "SKIPPED: the kernel has no TCX";
  }
  // The event about the packet with our port; others (ND) may come along.
  flow_event Await(uint16_t sport) {
    for (int i = 0; i < 200; ++i) {
      for (const flow_event& event : datapath().Events()) {
        if (ntohs(event.sport) == sport) return event;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "no event about port " << sport;
    return {};
  }

  std::unique_ptr<Netns> ns_;
  base::UniqueFd link_;
};
INSTANTIATE_FAMILIES(Nonlinear);

TEST_P(Nonlinear, HeadersArePulledFromWhereverTheyAre) {
  // Split behind Ethernet, inside the IP header, inside the L4 header, behind all headers.
  uint16_t sport = 2000;
  for (const uint16_t linear : {14, 20, 60, 200}) {
    Frame frame = Leaving(Tcp{++sport, 80, kSyn});
    frame.payload = Bytes(kPayload, 0x42);
    SendSplit(*ns_, "pod0", Build(frame), linear);
    const flow_event event = Await(sport);
    EXPECT_EQ(event.kind, FLOW_NEW) << linear;
    EXPECT_EQ(event.reason, REASON_FORWARDED) << linear;
    EXPECT_EQ(ntohs(event.dport), 80) << linear;
    EXPECT_EQ(event.bytes, Build(frame).size()) << linear;
  }
}

}  // namespace
}  // namespace bonsai::testing
