// SPDX-License-Identifier: Apache-2.0
// TCP, UDP and ICMP over both families: allowed, denied, load-balanced, prefiltered.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <list>
#include <thread>

#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

ConfigMap Base(const ConfigMap& more) {
  ConfigMap config = {{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"}, {"ct-entries", "4096"}};
  for (const auto& [key, value] : more) config[key] = value;
  return config;
}

std::string Policy(const std::string& name, const std::string& spec) {
  return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name +
         ", namespace: demo}\nspec:\n" + spec;
}

class Traffic : public ::testing::Test {
 protected:
  void Start(const ConfigMap& config) {
    cluster.SetConfig(Base(config));
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
  }
  // Waits until the number of policies in force is `count`.
  bool WaitPolicies(size_t rules) {
    return WaitFor([&] {
      auto listed = cluster.Ctl("policies");
      return listed.is_object() && listed.value("rules", nlohmann::json::array()).size() == rules;
    });
  }
  bool WaitBackends(size_t backends) {
    return WaitFor([&] {
      auto listed = cluster.Ctl("services");
      if (!listed.is_object() || !listed.contains("services")) return false;
      for (const auto& service : listed["services"]) {
        if (service["backends"].size() != backends) return false;
      }
      return !listed["services"].empty();
    });
  }

  Cluster cluster;
  EchoServer tcp_a{cluster.pod_a, Proto::kTcp, kServerPort, "a"};
  EchoServer udp_a{cluster.pod_a, Proto::kUdp, kServerPort, "a"};
  EchoServer tcp_b{cluster.pod_b, Proto::kTcp, kServerPort, "b"};
  EchoServer udp_b{cluster.pod_b, Proto::kUdp, kServerPort, "b"};
  EchoServer other_b{cluster.pod_b, Proto::kTcp, 9090, "b9090"};
};

TEST_F(Traffic, PassesBothFamiliesAndAllProtocolsWhenNothingForbidsIt) {
  Start({{"enable-policy", "true"}, {"enable-load-balancer", "true"}, {"enable-prefilter", "true"}});
  for (const Netns* from : {&cluster.pod_a, &cluster.client, &cluster.node}) {
    for (const char* to : {kPodB4, kPodB6}) {
      SCOPED_TRACE(from->name() + " to " + to);
      EXPECT_EQ(Ask(*from, Proto::kTcp, to, kServerPort), "b");
      EXPECT_EQ(Ask(*from, Proto::kUdp, to, kServerPort), "b");
      EXPECT_TRUE(Ping(*from, to));
    }
  }
  EXPECT_TRUE(Ping(cluster.pod_a, kClient4));
  EXPECT_TRUE(Ping(cluster.pod_a, kClient6));
}

TEST_F(Traffic, IsDeniedByAnIngressPolicyExceptForTheAllowedPeerAndPort) {
  Start({{"enable-policy", "true"}});
  cluster.WriteManifest("policy.yaml",
                        Policy("b-from-a",
                               "  podSelector: {matchLabels: {app: b}}\n  policyTypes: [Ingress]\n"
                               "  ingress:\n  - from: [{podSelector: {matchLabels: {app: a}}}]\n"
                               "    ports: [{protocol: TCP, port: 8080}]\n"));
  ASSERT_TRUE(WaitPolicies(1));
  for (const char* to : {kPodB4, kPodB6}) {
    SCOPED_TRACE(to);
    EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, to, kServerPort), "b");
    EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, to, 9090, 300), std::nullopt);
    EXPECT_EQ(Ask(cluster.pod_a, Proto::kUdp, to, kServerPort, 300), std::nullopt);
    EXPECT_FALSE(Ping(cluster.pod_a, to));
    EXPECT_EQ(Ask(cluster.client, Proto::kTcp, to, kServerPort, 300), std::nullopt);
    EXPECT_EQ(Ask(cluster.node, Proto::kTcp, to, kServerPort), "b") << "the node reaches its pods";
  }
  // Replies to what b itself opens need no rule.
  EXPECT_EQ(Ask(cluster.pod_b, Proto::kUdp, kPodA4, kServerPort), "a");
  EXPECT_TRUE(Ping(cluster.pod_b, kPodA6));
  cluster.RemoveManifest("policy.yaml");
  ASSERT_TRUE(WaitPolicies(0));
  EXPECT_EQ(Ask(cluster.client, Proto::kTcp, kPodB4, kServerPort), "b");
}

TEST_F(Traffic, IsDeniedByAnEgressPolicyExceptForTheAllowedCidr) {
  Start({{"enable-policy", "true"}});
  cluster.WriteManifest("policy.yaml",
                        Policy("a-egress",
                               "  podSelector: {matchLabels: {app: a}}\n  policyTypes: [Egress]\n"
                               "  egress:\n  - to: [{ipBlock: {cidr: 192.0.2.0/24}}, "
                               "{ipBlock: {cidr: 'fd30::/64'}}]\n"));
  ASSERT_TRUE(WaitPolicies(1));
  EXPECT_TRUE(Ping(cluster.pod_a, kClient4));
  EXPECT_TRUE(Ping(cluster.pod_a, kClient6));
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort, 300), std::nullopt);
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kUdp, kPodB6, kServerPort, 300), std::nullopt);
  EXPECT_EQ(Ask(cluster.pod_b, Proto::kTcp, kPodA4, kServerPort), "a") << "ingress is not isolated";
}

TEST_F(Traffic, OfAnEstablishedConnectionIsCutByANewPolicy) {
  Start({{"enable-policy", "true"}});
  auto connection = Connection::Open(cluster.client, Proto::kTcp, kPodB4, kServerPort);
  ASSERT_TRUE(connection);
  ASSERT_EQ(connection->Ask(), "b");
  cluster.WriteManifest("policy.yaml", Policy("b-isolated", "  podSelector: {matchLabels: {app: b}}\n"
                                                            "  policyTypes: [Ingress]\n"));
  EXPECT_TRUE(WaitFor([&] { return connection->Ask(300) == std::nullopt; }));
}

TEST_F(Traffic, InFlightWhenAPolicyArrivesDoesNotReviveItsConnection) {
  Start({{"enable-policy", "true"}});
  std::list<SteadyTraffic> chatty;
  for (const char* address : {kPodB4, kPodB6}) {
    for (const Netns* from : {&cluster.client, &cluster.pod_a, &cluster.client, &cluster.pod_a}) {
      chatty.emplace_back(*from, address, kServerPort);
    }
  }
  const auto answered = [&] {
    uint64_t sum = 0;
    for (const SteadyTraffic& traffic : chatty) sum += traffic.answered();
    return sum;
  };
  ASSERT_TRUE(WaitFor([&] { return answered() > 1000; }));
  cluster.WriteManifest("policy.yaml", Policy("b-isolated", "  podSelector: {matchLabels: {app: b}}\n"
                                                            "  policyTypes: [Ingress]\n"));
  ASSERT_TRUE(WaitFor([&] { return Ask(cluster.client, Proto::kTcp, kPodB4, kServerPort, 300) == std::nullopt; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // answers that had passed already
  const uint64_t settled = answered();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_EQ(answered(), settled) << "sent again by the pod, which may open what it likes";
}

TEST_F(Traffic, IsDeniedByDefaultAndOnlyReportedInAuditMode) {
  Start({{"enable-policy", "true"}, {"policy-default-deny", "true"}});
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort, 300), std::nullopt);
  EXPECT_FALSE(Ping(cluster.client, kPodB6));
  cluster.ChangeConfig({{"policy-audit-mode", "true"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
  EXPECT_TRUE(Ping(cluster.client, kPodB6));
  EXPECT_TRUE(WaitFor([&] {
    auto metrics = cluster.node.Exec("curl -s http://" + cluster.metrics_address() + "/metrics");
    return metrics.output.find("reason=\"audited\"") != std::string::npos;
  }));
}

TEST_F(Traffic, ToAServiceReachesEveryBackendAndAnswersFromTheServiceAddress) {
  Start({{"enable-load-balancer", "true"}});
  cluster.WriteService({kPodA4, kPodB4}, {kPodA6, kPodB6});
  ASSERT_TRUE(WaitBackends(2));
  for (Proto proto : {Proto::kTcp, Proto::kUdp}) {
    for (const char* service : {kService4, kService6}) {
      std::set<std::string> answered;
      for (int i = 0; i < 60; ++i) {
        answered.insert(Ask(cluster.pod_c, proto, service, kServicePort).value_or("lost"));
      }
      EXPECT_EQ(answered, (std::set<std::string>{"a", "b"})) << service;
    }
  }
}

TEST_F(Traffic, ToAServiceKeepsItsBackendForTheLifeOfTheConnection) {
  Start({{"enable-load-balancer", "true"}});
  cluster.WriteService({kPodB4}, {kPodB6});
  ASSERT_TRUE(WaitBackends(1));
  for (const char* service : {kService4, kService6}) {
    auto tcp = Connection::Open(cluster.pod_a, Proto::kTcp, service, kServicePort);
    auto udp = Connection::Open(cluster.pod_a, Proto::kUdp, service, kServicePort);
    ASSERT_TRUE(tcp && udp) << service;
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(tcp->Ask(), "b");
      EXPECT_EQ(udp->Ask(), "b");
    }
  }
  cluster.WriteService({}, {});
  ASSERT_TRUE(WaitBackends(0));
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kService4, kServicePort, 300), std::nullopt);
}

TEST_F(Traffic, ToAServiceIsJudgedByTheBackendsPolicy) {
  Start({{"enable-load-balancer", "true"}, {"enable-policy", "true"}});
  cluster.WriteService({kPodB4}, {kPodB6});
  ASSERT_TRUE(WaitBackends(1));
  cluster.WriteManifest("policy.yaml",
                        Policy("a-egress",
                               "  podSelector: {matchLabels: {app: a}}\n  policyTypes: [Egress]\n"
                               "  egress:\n  - to: [{podSelector: {matchLabels: {app: b}}}]\n"
                               "    ports: [{protocol: TCP, port: 8080}]\n"));
  ASSERT_TRUE(WaitPolicies(1));
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kService4, kServicePort), "b");
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kService6, kServicePort), "b");
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kUdp, kService4, kServicePort, 300), std::nullopt);
}

TEST_F(Traffic, FromAPrefilteredCidrIsDroppedAtTheUplink) {
  Start({{"enable-prefilter", "true"}, {"prefilter-cidrs", "192.0.2.2/32, fd30::/64"}});
  EXPECT_FALSE(Ping(cluster.client, kPodB4));
  EXPECT_FALSE(Ping(cluster.client, kPodB6));
  EXPECT_EQ(Ask(cluster.client, Proto::kTcp, kPodB4, kServerPort, 300), std::nullopt);
  EXPECT_TRUE(Ping(cluster.pod_a, kPodB4));
  cluster.ChangeConfig({{"prefilter-cidrs", "198.51.100.0/24"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_TRUE(WaitFor([&] { return Ping(cluster.client, kPodB4); }));
  EXPECT_TRUE(Ping(cluster.client, kPodB6));
}

TEST_F(Traffic, IsListedAsFlowsWithReasonAndPods) {
  Start({{"enable-policy", "true"}, {"enable-flow-events", "true"}});
  cluster.WriteManifest("policy.yaml", Policy("b-isolated", "  podSelector: {matchLabels: {app: b}}\n"
                                                            "  policyTypes: [Ingress]\n"));
  ASSERT_TRUE(WaitPolicies(0));
  ASSERT_TRUE(WaitFor([&] { return Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort, 200) == std::nullopt; }));
  EXPECT_TRUE(WaitFor([&] {
    std::string flows = cluster.RawCtl("flows --last 50 -o json").output;
    return flows.find("policy-default-denied") != std::string::npos &&
           flows.find("demo/a") != std::string::npos && flows.find("demo/b") != std::string::npos;
  })) << cluster.RawCtl("flows --last 50").output;
}

}  // namespace
}  // namespace bonsai::testing
