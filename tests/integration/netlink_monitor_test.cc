// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "agent/kernel/netlink.h"
#include "tests/support/netns.h"
#include "tests/unit/kernel/call_counter.h"

namespace bonsai::kernel {
namespace {

using std::chrono::milliseconds;
using testing::CallCounter;
using testing::Netns;
using testing::NetnsScope;

const ChangeTiming kQuick = {.settle = milliseconds(5)};

// Waits until what earlier commands caused has been reported.
void Calm(const CallCounter& counter) {
  for (int before = -1; before != counter.calls();) {
    before = counter.calls();
    std::this_thread::sleep_for(milliseconds(200));
  }
}

TEST(NetlinkMonitor, SeesLinksAddressesAndRoutes) {
  const Netns ns("monitor");
  const NetnsScope inside(ns);
  CallCounter counter;
  auto monitor = NetlinkMonitor::Start(counter.Callback(), kQuick);
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  for (const char* command :
       {"link add pod0 type veth peer name pod0-peer", "link set pod0-peer up", "link set pod0 up",
        "addr add 192.0.2.1/24 dev pod0", "addr add fd00::1/64 dev pod0 nodad",
        "route add 198.51.100.0/24 dev pod0", "-6 route add fd01::/64 dev pod0",
        "-6 route del fd01::/64 dev pod0", "route del 198.51.100.0/24", "addr del 192.0.2.1/24 dev pod0",
        "link set pod0 down", "link del pod0"}) {
    Calm(counter);
    const int before = counter.calls();
    ns.MustExec(std::string("ip ") + command);
    EXPECT_TRUE(counter.WaitForMoreThan(before)) << command;
  }
}

TEST(NetlinkMonitor, IsQuietWhenNothingChanges) {
  const Netns ns("monitor"), other("other");
  const NetnsScope inside(ns);
  CallCounter counter;
  auto monitor = NetlinkMonitor::Start(counter.Callback(), kQuick);
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  Calm(counter);
  const int before = counter.calls();
  other.MustExec("ip link add pod0 type veth peer name pod0-peer");  // not ours
  const auto links = ListLinks();  // asking is no change
  ASSERT_TRUE(links.ok()) << links.status();
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(counter.calls(), before);
}

TEST(NetlinkMonitor, JoinsABurstIntoOneCall) {
  const Netns ns("monitor");
  const NetnsScope inside(ns);
  CallCounter counter;
  auto monitor = NetlinkMonitor::Start(counter.Callback(), {.settle = milliseconds(1000),
                                                            .longest = milliseconds(60000)});
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  ns.MustExec("for i in $(seq 50); do echo link add b$i type bridge; done | ip -batch -");
  ASSERT_TRUE(counter.WaitForMoreThan(0));
  EXPECT_EQ(counter.calls(), 1);
}

// Notices that the kernel had to drop, over all netlink sockets of the calling thread's namespace.
uint64_t LostNotices() {
  std::ifstream file("/proc/thread-self/net/netlink");
  std::string line;
  std::getline(file, line);  // headings: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
  uint64_t lost = 0;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 8; ++i) words >> word;
    uint64_t drops = 0;
    words >> drops;
    lost += drops;
  }
  return lost;
}

// More notices than the socket holds while nobody reads: the kernel drops some and says so.
TEST(NetlinkMonitor, TakesLostNoticesForAChange) {
  const Netns ns("monitor");
  const NetnsScope inside(ns);
  ns.MustExec("ip link add br0 type bridge && ip link set br0 up");
  std::atomic<bool> blocked = false, go_on = false;
  CallCounter counter;
  auto monitor = NetlinkMonitor::Start([&] {
    blocked = true;
    while (!go_on) std::this_thread::sleep_for(milliseconds(1));
    counter.Callback()();
  }, kQuick);
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  ns.MustExec("ip link add br1 type bridge");
  while (!blocked) std::this_thread::sleep_for(milliseconds(1));
  ns.MustExec("for i in $(seq 10000); do echo route add 10.$((i / 250)).$((i % 250)).1/32 dev br0; "
              "done | ip -batch -");
  EXPECT_GT(LostNotices(), 0u);
  go_on = true;
  EXPECT_TRUE(counter.WaitForMoreThan(1));
  Calm(counter);
  const int before = counter.calls();
  ns.MustExec("ip link del br1");
  EXPECT_TRUE(counter.WaitForMoreThan(before));
}

}  // namespace
}  // namespace bonsai::kernel
