// SPDX-License-Identifier: Apache-2.0
// What is off does not exist, what is on does; asked of the kernel, under traffic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;
using Names = std::set<std::string>;

// Every toggle off but IPv4, with tables small enough to be made in no time.
ConfigMap OnlyIpv4() {
  return {{"pod-devices", "veth-*"},       {"uplink-devices", "uplink"},
          {"enable-ipv4", "true"},         {"enable-ipv6", "false"},
          {"enable-prefilter", "false"},   {"enable-conntrack", "false"},
          {"enable-policy", "false"},      {"enable-load-balancer", "false"},
          {"enable-flow-events", "false"}, {"enable-datapath-metrics", "false"},
          {"ct-entries", "4096"}};
}

struct Toggle {
  std::string name;
  ConfigMap on;    // on top of OnlyIpv4
  Names maps;      // exactly what the kernel must then hold
  Names programs;  // exactly what must then be loaded besides from_pod and to_pod
};

Names operator+(Names a, const Names& b) {
  a.insert(b.begin(), b.end());
  return a;
}

std::vector<Toggle> Toggles() {
  const Names ct4 = {"ct4", "from_pod_calls", "to_pod_calls"};
  const Names calls4 = {"fp_create4", "fp_related4", "tp_create4", "tp_related4"};
  const Names calls6 = {"fp_create6", "fp_related6", "tp_create6", "tp_related6"};
  return {
      {"conntrack", {{"enable-conntrack", "true"}}, ct4, calls4},
      {"ipv6",
       {{"enable-conntrack", "true"}, {"enable-ipv6", "true"}},
       ct4 + Names{"ct6"},
       calls4 + calls6},
      {"metrics", {{"enable-datapath-metrics", "true"}}, {"metrics"}, {"from_netdev"}},
      {"flow-events", {{"enable-flow-events", "true"}}, {"events"}, {}},
      {"dns-visibility",
       {{"enable-dns-visibility", "true"}},
       {"dns_ports", "dns_deny", "dns_events", "dns_metrics", "dns_scratch", "from_pod_calls",
        "to_pod_calls"},
       {"fp_dns", "fp_dns_read", "tp_dns", "tp_dns_read"}},
      {"http-visibility",
       {{"enable-http-visibility", "true"}},
       {"http_ports", "http_events", "http_metrics", "http_scratch", "from_pod_calls", "to_pod_calls"},
       {"fp_http", "tp_http"}},
      {"prefilter", {{"enable-prefilter", "true"}}, {"prefilter4"}, {"xdp_prefilter"}},
      {"policy",
       {{"enable-conntrack", "true"}, {"enable-policy", "true"}},
       ct4 + Names{"policy", "policy_epoch", "endpoints", "ipcache4"},
       // policy creates the entry itself, so the stage that only creates has no caller
       {"fp_policy4", "fp_recheck4", "fp_related4", "tp_policy4", "tp_recheck4", "tp_related4"}},
      {"load-balancer",
       {{"enable-conntrack", "true"}, {"enable-load-balancer", "true"}},
       ct4 + Names{"services4", "backends4"},
       calls4 + Names{"fp_lb4"}},
  };
}

TEST(Toggles, BringExactlyTheirMapsAndTakeThemAwayAgainUnderTraffic) {
  Cluster cluster;
  EchoServer tcp(cluster.pod_b, Proto::kTcp, kServerPort, "b");
  EchoServer udp(cluster.pod_b, Proto::kUdp, kServerPort, "b");
  cluster.SetConfig(OnlyIpv4());
  cluster.StartAgent();
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_THAT(cluster.KernelMaps(), IsEmpty()) << "nothing but IPv4 is on";
  const Names bare_programs = {"from_pod", "to_pod"};
  EXPECT_THAT(cluster.KernelPrograms(), UnorderedElementsAreArray(bare_programs));

  SteadyTraffic traffic(cluster.pod_a, kPodB4, kServerPort);
  for (const Toggle& toggle : Toggles()) {
    SCOPED_TRACE(toggle.name);
    ConfigMap config = OnlyIpv4();
    for (const auto& [key, value] : toggle.on) config[key] = value;
    cluster.SetConfig(config);
    ASSERT_TRUE(cluster.WaitInSync());
    EXPECT_THAT(cluster.KernelMaps(), UnorderedElementsAreArray(toggle.maps));
    EXPECT_THAT(cluster.KernelPrograms(), UnorderedElementsAreArray(bare_programs + toggle.programs));
    cluster.SetConfig(OnlyIpv4());
    ASSERT_TRUE(cluster.WaitInSync());
    EXPECT_THAT(cluster.KernelMaps(), IsEmpty());
    EXPECT_THAT(cluster.KernelPrograms(), UnorderedElementsAreArray(bare_programs));
  }
  EXPECT_GT(traffic.answered(), 100u);
  EXPECT_EQ(traffic.lost(), 0u);
}

TEST(Toggles, ReleaseTheKernelsMemoryWhenTheyGoOff) {
  Cluster cluster;
  ConfigMap on = OnlyIpv4();
  on["enable-conntrack"] = "true";
  cluster.SetConfig(on);
  cluster.StartAgent();
  ASSERT_TRUE(cluster.WaitInSync());
  std::set<unsigned> before = cluster.KernelMapIds();
  ASSERT_FALSE(before.empty());
  cluster.SetConfig(OnlyIpv4());
  ASSERT_TRUE(cluster.WaitInSync());
  std::set<unsigned> after = cluster.KernelMapIds();
  EXPECT_TRUE(WaitFor([&] {
    for (unsigned id : before) {
      if (!after.contains(id) && Shell("bpftool map show id " + std::to_string(id)).exit_code == 0) {
        return false;
      }
    }
    return true;
  })) << "a map of the earlier generation still lives in the kernel";
}

TEST(Toggles, KeepConnectionsAliveWhenEverythingIsTurnedOn) {
  Cluster cluster;
  EchoServer server(cluster.pod_b, Proto::kTcp, kServerPort, "b");
  cluster.SetConfig(OnlyIpv4());
  cluster.StartAgent();
  ASSERT_TRUE(cluster.WaitInSync());
  auto v4 = Connection::Open(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort);
  auto v6 = Connection::Open(cluster.pod_a, Proto::kTcp, kPodB6, kServerPort);
  ASSERT_TRUE(v4 && v4->Ask() && v6 && v6->Ask());
  cluster.ChangeConfig({{"enable-ipv6", "true"},
                        {"enable-prefilter", "true"},
                        {"enable-conntrack", "true"},
                        {"enable-policy", "true"},
                        {"enable-load-balancer", "true"},
                        {"enable-flow-events", "true"},
                        {"enable-dns-visibility", "true"},
                        {"enable-http-visibility", "true"},
                        {"enable-datapath-metrics", "true"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(v4->Ask(), "b");
  EXPECT_EQ(v6->Ask(), "b");
}

}  // namespace
}  // namespace bonsai::testing
