// SPDX-License-Identifier: Apache-2.0
// Links, addresses and routes, as rtnetlink tells them of namespaces of the tests' own.
#include "agent/kernel/netlink.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "agent/kernel/node_facts.h"
#include "tests/support/netns.h"

namespace bonsai::kernel {
namespace {

using testing::Netns;
using testing::NetnsScope;

class NetlinkTest : public ::testing::Test {
 protected:
  Netns ns_{"netlink"};
  NetnsScope inside_{ns_};  // the test's thread lists this namespace

  void Ip(const std::string& arguments) { ns_.MustExec("ip " + arguments); }
  // A pair of devices that are up; the names are `name` and `name`-peer.
  void AddPair(const std::string& name) {
    Ip("link add " + name + " type veth peer name " + name + "-peer");
    Ip("link set " + name + " up");
    Ip("link set " + name + "-peer up");
  }
};

Link MustFind(const std::string& name) {
  const auto links = ListLinks();
  if (!links.ok()) ADD_FAILURE() << links.status();
  for (const Link& link : links.ok() ? *links : std::vector<Link>()) {
    if (link.name == name) return link;
  }
  ADD_FAILURE() << "no device " << name;
  return {};
}

TEST_F(NetlinkTest, ListsLinks) {
  Ip("link add bridge0 type bridge");
  AddPair("pod0");
  Ip("link set pod0 address 02:00:00:00:00:01 mtu 1400 master bridge0");
  Ip("link set bridge0 down");
  const Link pod = MustFind("pod0"), peer = MustFind("pod0-peer");
  const Link bridge = MustFind("bridge0"), loopback = MustFind("lo");
  EXPECT_EQ(pod.ifindex, ns_.IfIndex("pod0"));
  EXPECT_EQ(pod.kind, "veth");
  EXPECT_EQ(pod.mac, (std::vector<uint8_t>{2, 0, 0, 0, 0, 1}));
  EXPECT_EQ(pod.mtu, 1400u);
  EXPECT_EQ(pod.master, bridge.ifindex);
  EXPECT_EQ(pod.peer_ifindex, peer.ifindex);
  EXPECT_EQ(peer.peer_ifindex, pod.ifindex);
  EXPECT_FALSE(pod.peer_netns);
  EXPECT_TRUE(pod.up);
  EXPECT_TRUE(pod.running);
  EXPECT_FALSE(pod.loopback);
  EXPECT_EQ(bridge.kind, "bridge");
  EXPECT_FALSE(bridge.up);
  EXPECT_EQ(bridge.peer_ifindex, 0u);
  EXPECT_TRUE(loopback.loopback);
  EXPECT_EQ(loopback.ifindex, 1u);
  EXPECT_EQ(loopback.kind, "");
}

TEST_F(NetlinkTest, SaysThatAPeerIsInAnotherNamespace) {
  const Netns pod("pod");
  AddPair("pod0");
  Ip("link set pod0-peer netns " + pod.name());
  const Link link = MustFind("pod0");
  EXPECT_TRUE(link.peer_netns);
  EXPECT_EQ(link.peer_ifindex, pod.IfIndex("pod0-peer"));
}

TEST_F(NetlinkTest, ListsMoreLinksThanOneMessageHolds) {
  ns_.MustExec("for i in $(seq 150); do echo link add v$i type veth peer name w$i; done | "
               "ip -batch -");
  // While others come and go, those that stay are all there.
  std::jthread restless([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      ns_.Exec("ip link add x0 type veth peer name y0; ip link del x0");
    }
  });
  int listed = 0;
  for (int round = 0; round < 50; ++round) {
    const auto links = ListLinks();
    if (absl::IsUnavailable(links.status())) continue;
    ++listed;
    ASSERT_TRUE(links.ok()) << links.status();
    EXPECT_EQ(std::count_if(links->begin(), links->end(), [](const Link& link) {
                return link.name[0] == 'v' || link.name[0] == 'w';
              }), 300);
    EXPECT_TRUE(std::is_sorted(links->begin(), links->end(), [](const Link& a, const Link& b) {
      return a.ifindex < b.ifindex;
    }));
  }
  EXPECT_GT(listed, 0);
}

TEST_F(NetlinkTest, ListsAddressesOfBothFamilies) {
  AddPair("pod0");
  Ip("addr add 192.0.2.1/24 dev pod0");
  Ip("addr add 198.51.100.1 peer 198.51.100.2 dev pod0");
  Ip("addr add fd00::1/64 dev pod0 nodad");
  const auto addresses = ListAddresses();
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  const auto find = [&](const std::string& text) -> InterfaceAddress {
    for (const InterfaceAddress& address : *addresses) {
      if (ToString(address.address) == text) return address;
    }
    ADD_FAILURE() << "no address " << text;
    return {};
  };
  EXPECT_EQ(find("192.0.2.1").prefix, 24);
  EXPECT_EQ(find("192.0.2.1").ifindex, ns_.IfIndex("pod0"));
  EXPECT_EQ(find("192.0.2.1").scope, RT_SCOPE_UNIVERSE);
  EXPECT_EQ(find("198.51.100.1").prefix, 32);  // ours, not the other end's
  EXPECT_EQ(find("fd00::1").prefix, 64);
  EXPECT_EQ(find("fd00::1").address.family, 6);
  EXPECT_FALSE(find("fd00::1").tentative);
  EXPECT_EQ(find("127.0.0.1").ifindex, 1u);
  EXPECT_EQ(find("127.0.0.1").scope, RT_SCOPE_HOST);
}

TEST_F(NetlinkTest, SaysWhichAddressIsTentative) {
  Ip("link add br0 type bridge");
  Ip("link set br0 up");  // without a carrier, detection does not come to an end
  Ip("addr add fd00::2/64 dev br0");
  const auto addresses = ListAddresses();
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_TRUE(std::any_of(addresses->begin(), addresses->end(), [](const InterfaceAddress& a) {
    return ToString(a.address) == "fd00::2" && a.tentative;
  }));
}

std::vector<DefaultRoute> MustListDefaultRoutes() {
  auto routes = ListDefaultRoutes();
  if (!routes.ok()) ADD_FAILURE() << routes.status();
  return routes.ok() ? *std::move(routes) : std::vector<DefaultRoute>();
}

TEST_F(NetlinkTest, FindsNoDefaultRouteInAFreshNamespace) {
  EXPECT_TRUE(MustListDefaultRoutes().empty());
}

TEST_F(NetlinkTest, FindsTheDefaultRoutesOfLowestMetric) {
  for (const char* name : {"up0", "up1", "up2"}) AddPair(name);
  Ip("addr add 192.0.2.1/24 dev up0");
  Ip("addr add 198.51.100.1/24 dev up1");
  Ip("route add unreachable default metric 1");
  Ip("route add 203.0.113.0/24 dev up2");
  Ip("route add default via 192.0.2.254 metric 100");
  Ip("route add default via 198.51.100.254 metric 200");
  Ip("route add default dev up2 table 77");
  const uint32_t up0 = ns_.IfIndex("up0"), up1 = ns_.IfIndex("up1"), up2 = ns_.IfIndex("up2");
  EXPECT_EQ(MustListDefaultRoutes(), (std::vector<DefaultRoute>{{4, up0, 100}}));
  Ip("-6 addr add fd00::1/64 dev up2 nodad");
  Ip("-6 route add default via fd00::ff dev up2 metric 50");
  EXPECT_EQ(MustListDefaultRoutes(), (std::vector<DefaultRoute>{{4, up0, 100}, {6, up2, 50}}));
  Ip("route del default via 192.0.2.254");
  Ip("-6 route del default via fd00::ff");
  EXPECT_EQ(MustListDefaultRoutes(), (std::vector<DefaultRoute>{{4, up1, 200}}));
}

TEST_F(NetlinkTest, FindsEveryHopOfAMultipathDefaultRoute) {
  for (const char* name : {"up0", "up1"}) AddPair(name);
  Ip("addr add 192.0.2.1/24 dev up0");
  Ip("addr add 198.51.100.1/24 dev up1");
  Ip("-6 addr add fd00::1/64 dev up0 nodad");
  Ip("-6 addr add fd01::1/64 dev up1 nodad");
  Ip("route add default nexthop via 192.0.2.254 nexthop via 198.51.100.254");
  Ip("-6 route add default nexthop via fd00::ff dev up0 nexthop via fd01::ff dev up1");
  const uint32_t up0 = ns_.IfIndex("up0"), up1 = ns_.IfIndex("up1");
  EXPECT_EQ(MustListDefaultRoutes(),
            (std::vector<DefaultRoute>{{4, up0, 0}, {4, up1, 0}, {6, up0, 1024}, {6, up1, 1024}}));
}

absl::StatusOr<uint32_t> DeviceOf(const std::string& address) {
  return RouteDevice(*ParseIpAddress(address));
}

TEST_F(NetlinkTest, FindsTheDeviceOfADirectRoute) {
  AddPair("pod0");
  AddPair("up0");
  Ip("addr add 192.0.2.1/24 dev up0");
  Ip("route add 10.0.0.5/32 dev pod0");
  Ip("-6 route add fd00::5/128 dev pod0");
  Ip("route add default via 192.0.2.254");
  Ip("route add blackhole 10.1.0.0/16");
  Ip("route add unreachable 10.2.0.0/16");
  Ip("route add prohibit 10.3.0.0/16");
  Ip("-6 route add unreachable fd02::/16");
  const auto pod4 = DeviceOf("10.0.0.5"), pod6 = DeviceOf("fd00::5"), near = DeviceOf("192.0.2.7");
  ASSERT_TRUE(pod4.ok()) << pod4.status();
  ASSERT_TRUE(pod6.ok()) << pod6.status();
  ASSERT_TRUE(near.ok()) << near.status();
  EXPECT_EQ(*pod4, ns_.IfIndex("pod0"));
  EXPECT_EQ(*pod6, ns_.IfIndex("pod0"));
  EXPECT_EQ(*near, ns_.IfIndex("up0"));
  for (const char* none : {"203.0.113.1", "192.0.2.1", "127.0.0.1", "::1", "10.1.0.1", "10.2.0.1",
                           "10.3.0.1", "fd01::1", "fd02::1", "224.0.0.1", "192.0.2.255"}) {
    EXPECT_TRUE(absl::IsNotFound(DeviceOf(none).status())) << none << ": " << DeviceOf(none).status();
  }
}

TEST_F(NetlinkTest, GathersTheFactsOfTheNode) {
  AddPair("up0");
  Ip("addr add 192.0.2.1/24 dev up0");
  Ip("route add default via 192.0.2.254");
  Ip("-6 route add default dev up0");
  const auto facts = GatherNodeFacts();
  ASSERT_TRUE(facts.ok()) << facts.status();
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof(name) - 1), 0);
  EXPECT_EQ(facts->hostname, name);
  EXPECT_EQ(facts->kernel_release + "\n", testing::Shell("uname -r").output);
  EXPECT_EQ(facts->page_size, static_cast<uint32_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(std::to_string(facts->possible_cpus) + "\n",
            testing::Shell("ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l").output);
  EXPECT_EQ(facts->default_route_ifindexes, std::vector<uint32_t>{ns_.IfIndex("up0")});
  EXPECT_EQ(facts->links.size(), 3u);
  EXPECT_EQ(*facts, *GatherNodeFacts());
}

// Ticks of CLOCK_MONOTONIC_COARSE are jiffies: half a second of them, counted.
TEST_F(NetlinkTest, KnowsTheLengthOfAKernelTick) {
  const auto facts = GatherNodeFacts();
  ASSERT_TRUE(facts.ok()) << facts.status();
  timespec start = {}, now = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &start);
  do {
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  } while (now.tv_sec == start.tv_sec && now.tv_nsec == start.tv_nsec);
  const double tick = static_cast<double>(now.tv_sec - start.tv_sec) +
                      static_cast<double>(now.tv_nsec - start.tv_nsec) / 1e9;
  const double ticks = tick * facts->kernel_hz;  // a whole number: 1, or more when we had to wait
  EXPECT_GE(ticks, 0.99);
  EXPECT_NEAR(ticks, std::round(ticks), 0.01 * ticks);
}

}  // namespace
}  // namespace bonsai::kernel
