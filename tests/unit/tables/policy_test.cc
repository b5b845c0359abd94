// SPDX-License-Identifier: Apache-2.0
// NetworkPolicy semantics, case by case. What all cases together mean is policy_oracle_test's work.
#include "agent/tables/policy.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "datapath_model.h"

namespace bonsai::tables {
namespace {

using Op = LabelRequirement::Op;

LabelSelector App(const std::string& value) { return {{Op::kIn, "app", {value}}}; }

// Pods web (10.0.0.1, this node, ifindex 7) and db (10.0.0.2) in "default", and client (10.0.1.1)
// in "other", whose namespace is labelled env=test.
class Policies : public ::testing::Test {
 protected:
  Policies() {
    AddPod("default", "web", "10.0.0.1", {{"http/TCP", 8080}});
    AddPod("default", "db", "10.0.0.2", {{"sql/TCP", 5432}});
    AddPod("other", "client", "10.0.1.1", {});
    inputs_.state.namespaces = {{"default", {}}, {"other", {{"env", "test"}}}};
    inputs_.local_pods = {{inputs_.state.pods[0], 7}};
    inputs_.node_addresses = {*ParseAddress("192.0.2.1")};
  }

  void AddPod(const std::string& space, const std::string& name, const std::string& address,
              std::map<std::string, uint16_t> named_ports) {
    inputs_.state.pods.push_back({.namespace_name = space,
                                  .name = name,
                                  .labels = {{"app", name}},
                                  .named_ports = std::move(named_ports),
                                  .addresses = {*ParseAddress(address)}});
  }

  NetworkPolicy& Add(const std::string& name = "p") {
    inputs_.state.policies.push_back(
        {.namespace_name = "default", .name = name, .pods = App("web")});
    return inputs_.state.policies.back();
  }
  void Ingress(PolicyRule rule) {
    NetworkPolicy& policy = Add();
    policy.ingress = true;
    policy.ingress_rules = {std::move(rule)};
  }
  void Egress(PolicyRule rule) {
    NetworkPolicy& policy = Add();
    policy.egress = true;
    policy.egress_rules = {std::move(rule)};
  }

  Tables Build() {
    auto tables = builder_.Build(inputs_);
    EXPECT_TRUE(tables.ok()) << tables.status();
    return *std::move(tables);
  }
  bool From(const std::string& peer, uint16_t port, uint8_t protocol = IPPROTO_TCP) {
    return Decide(Build(), {7, POLICY_INGRESS, *ParseAddress(peer), protocol, port}).allowed;
  }
  bool To(const std::string& peer, uint16_t port, uint8_t protocol = IPPROTO_TCP) {
    return Decide(Build(), {7, POLICY_EGRESS, *ParseAddress(peer), protocol, port}).allowed;
  }

  TableInputs inputs_;
  TableBuilder builder_;
};

TEST_F(Policies, IsolateNobodyWhenThereAreNone) {
  EXPECT_TRUE(From("10.0.1.1", 80));
  EXPECT_TRUE(To("203.0.113.1", 80));
  EXPECT_TRUE(Build().maps.at("policy").empty());
}

TEST_F(Policies, DenyEverythingWithoutRulesButOnlyInTheirDirection) {
  Add().ingress = true;
  EXPECT_FALSE(From("10.0.0.2", 80));
  EXPECT_FALSE(From("203.0.113.1", 53, IPPROTO_UDP));
  EXPECT_FALSE(From("10.0.0.2", 0, IPPROTO_ICMP));
  EXPECT_TRUE(To("203.0.113.1", 80));
  EXPECT_EQ(Build().endpoints[0].flags, ENDPOINT_ENFORCE_INGRESS);
}

TEST_F(Policies, LetTheNodeInAlways) {
  Add().ingress = true;
  EXPECT_TRUE(From("192.0.2.1", 80));
}

TEST_F(Policies, AllowEverythingByAnEmptyRule) {
  Ingress({});
  EXPECT_TRUE(From("203.0.113.1", 80));
  EXPECT_TRUE(From("203.0.113.1", 0, IPPROTO_ICMP));
  EXPECT_EQ(Build().maps.at("policy").size(), 1u);
}

TEST_F(Policies, SelectPodsOfTheirOwnNamespace) {
  Ingress({.peers = {{.pods = LabelSelector{}}}});
  EXPECT_TRUE(From("10.0.0.2", 80));
  EXPECT_FALSE(From("10.0.1.1", 80));
  EXPECT_FALSE(From("203.0.113.1", 80));
}

TEST_F(Policies, SelectWholeNamespaces) {
  Ingress({.peers = {{.namespaces = LabelSelector{{Op::kIn, "env", {"test"}}}}}});
  EXPECT_TRUE(From("10.0.1.1", 80));
  EXPECT_FALSE(From("10.0.0.2", 80));
}

TEST_F(Policies, SelectPodsWithinSelectedNamespaces) {
  Ingress({.peers = {{.pods = App("db"), .namespaces = LabelSelector{}}}});
  EXPECT_TRUE(From("10.0.0.2", 80));
  EXPECT_FALSE(From("10.0.1.1", 80));
}

TEST_F(Policies, DoNotReachPodsOfOtherNamespaces) {
  NetworkPolicy& policy = Add();
  policy.namespace_name = "other";
  policy.pods = {};
  policy.ingress = true;
  EXPECT_TRUE(From("203.0.113.1", 80));
}

TEST_F(Policies, AddUp) {
  Ingress({.peers = {{.pods = App("db")}}, .ports = {{.port = 80}}});
  NetworkPolicy& second = Add("q");
  second.ingress = true;
  second.ingress_rules = {{.ports = {{.protocol = IPPROTO_UDP}}}};
  EXPECT_TRUE(From("10.0.0.2", 80));
  EXPECT_FALSE(From("10.0.0.2", 81));
  EXPECT_FALSE(From("10.0.1.1", 80));
  EXPECT_TRUE(From("10.0.1.1", 9, IPPROTO_UDP));
}

TEST_F(Policies, RestrictToPortsAndRanges) {
  Ingress({.ports = {{.port = 1000, .end_port = 1999}, {.protocol = IPPROTO_SCTP, .port = 7}}});
  EXPECT_FALSE(From("10.0.0.2", 999));
  EXPECT_TRUE(From("10.0.0.2", 1000));
  EXPECT_TRUE(From("10.0.0.2", 1999));
  EXPECT_FALSE(From("10.0.0.2", 2000));
  EXPECT_FALSE(From("10.0.0.2", 1000, IPPROTO_UDP));
  EXPECT_TRUE(From("10.0.0.2", 7, IPPROTO_SCTP));
  EXPECT_FALSE(From("10.0.0.2", 0, IPPROTO_ICMP));
}

TEST_F(Policies, ResolveNamedPortsAtTheSubjectOnIngress) {
  Ingress({.ports = {{.named_port = "http"}}});
  EXPECT_TRUE(From("203.0.113.1", 8080));
  EXPECT_FALSE(From("203.0.113.1", 80));
  EXPECT_FALSE(From("203.0.113.1", 8080, IPPROTO_UDP));
}

TEST_F(Policies, ResolveNamedPortsAtEachPeerOnEgress) {
  AddPod("default", "db2", "10.0.0.3", {{"sql/TCP", 3306}});
  Egress({.ports = {{.named_port = "sql"}}});
  EXPECT_TRUE(To("10.0.0.2", 5432));
  EXPECT_FALSE(To("10.0.0.2", 3306));
  EXPECT_TRUE(To("10.0.0.3", 3306));
  EXPECT_FALSE(To("10.0.1.1", 5432));
  EXPECT_FALSE(To("203.0.113.1", 5432));
}

TEST_F(Policies, AllowNothingByANamedPortThatNobodyHas) {
  Ingress({.ports = {{.named_port = "nobody"}}});
  EXPECT_FALSE(From("203.0.113.1", 80));
  EXPECT_FALSE(From("203.0.113.1", 8080));
}

TEST_F(Policies, LeaveExceptionsOutOfACidr) {
  Egress(
      {.peers = {{.cidr = ParseCidr("203.0.0.0/16"), .except = {*ParseCidr("203.0.113.0/24")}}}});
  EXPECT_TRUE(To("203.0.1.1", 80));
  EXPECT_FALSE(To("203.0.113.1", 80));
  EXPECT_FALSE(To("203.1.0.1", 80));
}

TEST_F(Policies, AllowAnExceptionThatAnotherRuleNames) {
  Egress({.peers = {{.cidr = ParseCidr("203.0.0.0/16"), .except = {*ParseCidr("203.0.113.0/24")}},
                    {.cidr = ParseCidr("203.0.113.128/25")}}});
  EXPECT_FALSE(To("203.0.113.1", 80));
  EXPECT_TRUE(To("203.0.113.129", 80));
}

TEST_F(Policies, LetAnOuterCidrReachWhatAnotherPolicyNamesWithin) {
  Egress({.peers = {{.cidr = ParseCidr("203.0.0.0/16")}}});
  NetworkPolicy& other = Add("q");
  other.pods = App("db");  // selects nobody here, yet its CIDR cuts 203.0.113.0/24 out of the trie
  other.egress = true;
  other.egress_rules = {{.peers = {{.cidr = ParseCidr("203.0.113.0/24")}}}};
  EXPECT_TRUE(To("203.0.113.1", 80));
  EXPECT_TRUE(To("203.0.1.1", 80));
}

TEST_F(Policies, ApplyCidrsToPodsByTheirAddresses) {
  Egress({.peers = {{.cidr = ParseCidr("10.0.0.0/24"), .except = {*ParseCidr("10.0.0.2/32")}}}});
  AddPod("default", "db", "10.0.0.3", {});
  EXPECT_FALSE(To("10.0.0.2", 80));
  EXPECT_TRUE(To("10.0.0.3", 80));  // same labels as 10.0.0.2
  EXPECT_FALSE(To("10.0.1.1", 80));
}

TEST_F(Policies, ReachTheNodeByACidrThatHoldsIt) {
  Egress({.peers = {{.cidr = ParseCidr("192.0.2.0/24")}}});
  EXPECT_TRUE(To("192.0.2.1", 80));
  inputs_.state.policies[0].egress_rules[0].peers[0].except = {*ParseCidr("192.0.2.1/32")};
  EXPECT_FALSE(To("192.0.2.1", 80));
}

TEST_F(Policies, AcceptEachKindOfRequirement) {
  NetworkPolicy& policy = Add();
  policy.pods = {
      {Op::kNotIn, "app", {"db"}}, {Op::kExists, "app", {}}, {Op::kDoesNotExist, "old", {}}};
  policy.ingress = true;
  EXPECT_FALSE(From("10.0.0.2", 80));
  policy.pods.push_back({Op::kNotIn, "app", {"web"}});
  EXPECT_TRUE(From("10.0.0.2", 80));
}

TEST_F(Policies, NameTheRuleThatAllowed) {
  Ingress({.peers = {{.pods = App("db")}}, .ports = {{.port = 80}}});
  const Tables tables = Build();
  ASSERT_EQ(tables.rules.size(), 1u);
  const RuleInfo& rule = tables.rules[0];
  EXPECT_NE(rule.id, 0u);
  EXPECT_EQ(Decide(tables, {7, POLICY_INGRESS, *ParseAddress("10.0.0.2"), 6, 80}).rule, rule.id);
  EXPECT_EQ(rule.policy_namespace, "default");
  EXPECT_EQ(rule.policy_name, "p");
  EXPECT_EQ(rule.direction, POLICY_INGRESS);
  EXPECT_EQ(rule.description, "from pods (app=db) in namespace default; TCP/80");
}

TEST_F(Policies, KeepRuleIdsWhileOthersComeAndGo) {
  Ingress({});
  const uint32_t id = Build().rules[0].id;
  NetworkPolicy& earlier = Add("a");
  earlier.egress = true;
  earlier.egress_rules = {{}, {}};
  const Tables tables = Build();
  ASSERT_EQ(tables.rules.size(), 3u);
  EXPECT_EQ(tables.rules[0].policy_name, "a");
  EXPECT_EQ(tables.rules[2].id, id);
}

TEST(Describe, SaysPeersAndPorts) {
  const PolicyRule rule = {
      .peers = {{.cidr = ParseCidr("10.0.0.0/8"), .except = {*ParseCidr("10.1.0.0/16")}},
                {.pods = App("a"), .namespaces = LabelSelector{{Op::kExists, "env", {}}}}},
      .ports = {{.protocol = 17}, {.port = 1, .end_port = 9}, {.named_port = "web"}}};
  EXPECT_EQ(Describe(rule, POLICY_EGRESS, "default"),
            "to 10.0.0.0/8 except 10.1.0.0/16, pods (app=a) in namespaces (env); "
            "UDP, TCP/1-9, TCP/web");
  EXPECT_EQ(Describe({}, POLICY_INGRESS, "default"), "from anyone; all ports");
}

}  // namespace
}  // namespace bonsai::tables
