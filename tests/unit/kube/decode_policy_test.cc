// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kube/decode.h"
#include "agent/tables/selector.h"

namespace bonsai::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string PolicyText(const std::string& spec) {
  return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: "
         "n}\n" +
         spec;
}

tables::NetworkPolicy Policy(const std::string& spec) {
  const Decoded decoded = Decode(PolicyText(spec));
  for (const auto& each : decoded.problems) ADD_FAILURE() << each.line << ": " << each.message;
  if (decoded.objects.empty()) return {};
  return std::get<tables::NetworkPolicy>(decoded.objects.begin()->second);
}

TEST(DecodePolicy, ReadsEachPart) {
  const auto policy = Policy(R"(spec:
  podSelector:
    matchLabels: {app: web}
    matchExpressions:
    - {key: tier, operator: In, values: [a, b]}
    - {key: old, operator: DoesNotExist}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: db}}
    - namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}
      podSelector: {}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports:
    - {port: 80}
    - {port: 1000, endPort: 2000, protocol: SCTP}
    - {port: web, protocol: UDP}
    - {protocol: UDP}
  egress:
  - {}
)");
  EXPECT_EQ(policy.namespace_name, "n");
  EXPECT_EQ(policy.name, "p");
  EXPECT_TRUE(policy.ingress);
  EXPECT_TRUE(policy.egress);
  EXPECT_EQ(tables::ToString(policy.pods), "app=web, tier in (a,b), !old");

  ASSERT_EQ(policy.ingress_rules.size(), 1u);
  const auto& peers = policy.ingress_rules[0].peers;
  ASSERT_EQ(peers.size(), 3u);
  EXPECT_EQ(tables::ToString(*peers[0].pods), "app=db");
  EXPECT_FALSE(peers[0].namespaces);
  EXPECT_EQ(tables::ToString(*peers[1].namespaces), "env not in (prod)");
  EXPECT_TRUE(peers[1].pods && peers[1].pods->empty());
  EXPECT_EQ(peers[2].cidr, tables::ParseCidr("10.0.0.0/8"));
  EXPECT_THAT(peers[2].except, ElementsAre(*tables::ParseCidr("10.1.0.0/16")));

  const auto& ports = policy.ingress_rules[0].ports;
  ASSERT_EQ(ports.size(), 4u);
  EXPECT_EQ(ports[0].protocol, 6);
  EXPECT_EQ(ports[0].port, 80);
  EXPECT_EQ(ports[1].protocol, 132);
  EXPECT_EQ(ports[1].end_port, 2000);
  EXPECT_EQ(ports[2].named_port, "web");
  EXPECT_FALSE(ports[2].port);
  EXPECT_EQ(ports[3].protocol, 17);
  EXPECT_TRUE(!ports[3].port && ports[3].named_port.empty());

  ASSERT_EQ(policy.egress_rules.size(), 1u);
  EXPECT_TRUE(policy.egress_rules[0].peers.empty());
  EXPECT_TRUE(policy.egress_rules[0].ports.empty());
}

TEST(DecodePolicy, DefaultsItsTypes) {
  const auto neither = Policy("spec: {podSelector: {}}");
  EXPECT_TRUE(neither.ingress);
  EXPECT_FALSE(neither.egress);
  const auto egress = Policy("spec: {podSelector: {}, egress: [{}]}");
  EXPECT_TRUE(egress.ingress);
  EXPECT_TRUE(egress.egress);
  const auto empty_egress = Policy("spec: {podSelector: {}, egress: []}");
  EXPECT_FALSE(empty_egress.egress);
  const auto only_egress = Policy("spec: {podSelector: {}, policyTypes: [Egress]}");
  EXPECT_FALSE(only_egress.ingress);
  EXPECT_TRUE(only_egress.egress);
}

TEST(DecodePolicy, TakesDigitsInQuotesForANumber) {
  EXPECT_EQ(Policy("spec: {ingress: [{ports: [{port: \"80\"}]}]}").ingress_rules[0].ports[0].port,
            80);
}

struct BadCase {
  const char* spec;
  const char* problem;
};

class DecodePolicyBad : public ::testing::TestWithParam<BadCase> {};

TEST_P(DecodePolicyBad, SaysWhereAndWhat) {
  const Decoded decoded = Decode(PolicyText(GetParam().spec));
  ASSERT_EQ(decoded.problems.size(), 1u);
  EXPECT_EQ(decoded.problems[0].object, "NetworkPolicy n/p");
  EXPECT_THAT(decoded.problems[0].message, HasSubstr(GetParam().problem));
  EXPECT_GE(decoded.problems[0].line, 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, DecodePolicyBad,
    ::testing::Values(
        BadCase{"spec:", "spec: missing"},
        BadCase{"spec: {podSelecter: {}}",
                "spec: unknown field \"podSelecter\"; there are podSelector"},
        BadCase{"spec: {policyTypes: [ingress]}", "spec.policyTypes[0]: must be Ingress or Egress"},
        BadCase{"spec: {policyTypes: Ingress}", "spec.policyTypes: must be a list"},
        BadCase{"spec: {ingress: [{to: []}]}", "spec.ingress[0]: unknown field \"to\""},
        BadCase{
            "spec: {ingress: [{from: [{}]}]}",
            "spec.ingress[0].from[0]: must have a podSelector, a namespaceSelector or an ipBlock"},
        BadCase{"spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
                "ipBlock cannot stand beside"},
        BadCase{"spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0}}]}]}",
                "spec.egress[0].to[0].ipBlock.cidr: \"10.0.0.0\" is no CIDR"},
        BadCase{"spec: {egress: [{to: [{ipBlock: {}}]}]}", "ipBlock.cidr: missing"},
        BadCase{"spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}",
                "ipBlock.except[0]: 11.0.0.0/16 is not within 10.0.0.0/8"},
        BadCase{"spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}",
                "10.0.0.0/8 is not within 10.0.0.0/8"},
        BadCase{"spec: {ingress: [{ports: [{port: 0}]}]}",
                "ports[0].port: must be a number from 1"},
        BadCase{"spec: {ingress: [{ports: [{port: 9, endPort: 8}]}]}",
                "must not be less than port"},
        BadCase{"spec: {ingress: [{ports: [{port: web, endPort: 8}]}]}",
                "needs a port that is a number"},
        BadCase{"spec: {ingress: [{ports: [{endPort: 8}]}]}", "needs a port that is a number"},
        BadCase{"spec: {ingress: [{ports: [{protocol: ICMP}]}]}", "must be TCP, UDP or SCTP"},
        BadCase{"spec: {podSelector: {matchExpressions: [{key: a, operator: Near}]}}",
                "must be In, NotIn, Exists or DoesNotExist, not \"Near\""},
        BadCase{"spec: {podSelector: {matchExpressions: [{key: a, operator: In}]}}",
                "values: missing; In needs some"},
        BadCase{
            "spec: {podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
            "values: must be empty with Exists"},
        BadCase{"spec: {podSelector: {matchExpressions: [{operator: Exists}]}}", "key: missing"}));

}  // namespace
}  // namespace bonsai::kube
