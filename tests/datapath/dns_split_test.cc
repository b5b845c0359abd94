// SPDX-License-Identifier: Apache-2.0
// DNS messages that are not in the linear part of a packet, read and refused where they are.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "agent/base/unique_fd.h"
#include "tests/datapath/dns_fixture.h"
#include "tests/datapath/split.h"

namespace bonsai::testing {
namespace {

constexpr size_t kTrailing = 6000;  // more than a page

class DnsSplit : public DnsTest {
 protected:
  void SetUp() override {
    DnsTest::SetUp();
    if (IsSkipped()) return;
    LoadDns();
    ns_ = std::make_unique<Netns>("dnssplit");
    ns_->MustExec("ip link add host0 mtu 9000 type veth peer name pod0 mtu 9000 && "
                  "ip link set host0 up && ip link set pod0 up");
    const NetnsScope scope(*ns_);
    link_.reset(bpf_link_create(datapath().ProgramFd("from_pod"),
                                static_cast<int>(if_nametoindex("host0")), BPF_TCX_INGRESS,
                                nullptr));
    if (link_.get() < 0) GTEST_SKIP() << "SKIPPED: the kernel has no TCX";
    pod_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll to = {};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(ETH_P_ALL);
    to.sll_ifindex = static_cast<int>(if_nametoindex("pod0"));
    ASSERT_EQ(bind(pod_.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    const timeval second = {.tv_sec = 1, .tv_usec = 0};
    setsockopt(pod_.get(), SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
  }

  Bytes Message(const std::string& name) const {
    return Concat({Pack({.questions = {{.name = WireName(name)}}}), Bytes(kTrailing, 0x42)});
  }

  dns_event Await() {
    for (int i = 0; i < 200; ++i) {
      for (const dns_event& event : DnsEvents()) return event;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "no event";
    return {};
  }

  // The first packet from port 53 that reaches the pod.
  Bytes Received() {
    Bytes frame(9100);
    for (int packet = 0; packet < 50; ++packet) {
      const ssize_t size = recv(pod_.get(), frame.data(), frame.size(), 0);
      if (size < 14 + 20 + 8) break;
      const Bytes got(frame.begin(), frame.begin() + size);
      const uint16_t type = static_cast<uint16_t>(got[12] << 8 | got[13]);
      if (type == (v6() ? 0x86dd : 0x0800) && Read(got).sport == 53) return got;
    }
    ADD_FAILURE() << "no answer";
    return {};
  }

  std::unique_ptr<Netns> ns_;
  base::UniqueFd link_, pod_;
};
INSTANTIATE_FAMILIES(DnsSplit);

TEST_P(DnsSplit, MessageIsReadFromWhereverItIs) {
  for (const uint16_t linear : {14, 40, 80, 200}) {
    SendSplit(*ns_, "pod0", Build(Query(Message("www.example.com"))), linear);
    const dns_event event = Await();
    EXPECT_EQ(event.head.kind, L7_REQUEST) << linear;
    EXPECT_EQ(SightOf(event).name, WireName("www.example.com")) << linear;
  }
}

TEST_P(DnsSplit, RefusalIsCutToSizeAndReachesThePod) {
  Deny({".example.com"});
  for (const uint16_t linear : {14, 40, 80, 200}) {
    SCOPED_TRACE(linear);
    SendSplit(*ns_, "pod0", Build(Query(Message("www.example.com"))), linear);
    EXPECT_EQ(Await().head.kind, L7_DENIED);
    const Bytes answer = Received();
    ASSERT_FALSE(answer.empty());
    EXPECT_EQ(Read(answer).bad_checksum, "");
    EXPECT_EQ(Read(answer).dport, kClientPort);
    EXPECT_EQ(answer.size(), 14u + (v6() ? 40 : 20) + 8 + 12 + 17 + 4);
    SendSplit(*ns_, "pod0", Build(Query(Concat({{0x17, 0x91}, Message("www.example.com")}), true)),
              linear);
    EXPECT_EQ(Await().head.kind, L7_DENIED);
    const Bytes reset = Received();
    ASSERT_FALSE(reset.empty());
    EXPECT_EQ(Read(reset).bad_checksum, "");
    EXPECT_EQ(reset.size(), 14u + (v6() ? 40 : 20) + 20);
  }
}

}  // namespace
}  // namespace bonsai::testing
