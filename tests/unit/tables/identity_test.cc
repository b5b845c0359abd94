// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/tables/address.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Pod MakePod(const std::string& name, Labels labels, const std::vector<std::string>& addresses) {
  Pod pod{.namespace_name = "default", .name = name, .labels = std::move(labels)};
  for (const auto& text : addresses) pod.addresses.push_back(*ParseAddress(text));
  return pod;
}

NetworkPolicy CidrPolicy(const std::string& cidr, const std::vector<std::string>& excepts) {
  PolicyPeer peer{.cidr = ParseCidr(cidr)};
  for (const auto& text : excepts) peer.except.push_back(*ParseCidr(text));
  return {.namespace_name = "default",
          .name = "p",
          .egress = true,
          .egress_rules = {{.peers = {peer}}}};
}

uint32_t At(const IdentityTable& table, const std::string& cidr_text) {
  const Cidr cidr = *ParseCidr(cidr_text);
  const MapContents& map = cidr.address.family == 4 ? table.ipcache4 : table.ipcache6;
  const auto found = map.find(LpmKey(cidr));
  return found == map.end() ? 0 : FromBytes<ipcache_value>(found->second).identity;
}

TEST(IdentityAllocator, GivesOneIdentityToOneLabelSet) {
  DesiredState state;
  state.pods = {MakePod("a1", {{"app", "a"}}, {"10.0.0.1", "fd00::1"}),
                MakePod("a2", {{"app", "a"}}, {"10.0.0.2"}),
                MakePod("b", {{"app", "b"}}, {"10.0.0.3"})};
  const auto table = *IdentityAllocator().Update(state, {*ParseAddress("192.0.2.1")});
  EXPECT_EQ(At(table, "10.0.0.1"), At(table, "10.0.0.2"));
  EXPECT_EQ(At(table, "10.0.0.1"), At(table, "fd00::1"));
  EXPECT_NE(At(table, "10.0.0.1"), At(table, "10.0.0.3"));
  EXPECT_GE(At(table, "10.0.0.1"), IDENTITY_FIRST_POD);
  EXPECT_LT(At(table, "10.0.0.1"), IDENTITY_FIRST_CIDR);
  EXPECT_EQ(At(table, "192.0.2.1"), IDENTITY_HOST);
  EXPECT_EQ(table.ipcache4.size(), 4u);
  EXPECT_EQ(table.ipcache6.size(), 1u);
}

TEST(IdentityAllocator, TellsNamespacesAndTheirLabelsApart) {
  DesiredState state;
  state.pods = {MakePod("a", {}, {"10.0.0.1"}), MakePod("b", {}, {"10.0.0.2"})};
  state.pods[1].namespace_name = "other";
  IdentityAllocator allocator;
  const auto before = *allocator.Update(state, {});
  EXPECT_NE(At(before, "10.0.0.1"), At(before, "10.0.0.2"));
  state.namespaces["default"] = {{"env", "prod"}};
  const auto after = *allocator.Update(state, {});
  EXPECT_NE(At(after, "10.0.0.1"), At(before, "10.0.0.1"));
  EXPECT_EQ(At(after, "10.0.0.2"), At(before, "10.0.0.2"));
}

TEST(IdentityAllocator, IsNotFooledByLabelsThatLookAlikeWhenJoined) {
  DesiredState state;
  state.pods = {MakePod("a", {{"k", "1:x1:y"}}, {"10.0.0.1"}),
                MakePod("b", {{"k1:x", "y"}}, {"10.0.0.2"}),
                MakePod("c", {{"k", ""}, {"x", "y"}}, {"10.0.0.3"})};
  const auto table = *IdentityAllocator().Update(state, {});
  EXPECT_EQ(table.identities.size(), 4u);  // and the host
}

TEST(IdentityAllocator, GivesCidrsAndTheirExceptionsIdentities) {
  DesiredState state;
  state.policies = {CidrPolicy("10.0.0.0/8", {"10.1.0.0/16"}), CidrPolicy("fd00::/8", {})};
  const auto table = *IdentityAllocator().Update(state, {});
  EXPECT_GE(At(table, "10.0.0.0/8"), IDENTITY_FIRST_CIDR);
  EXPECT_GE(At(table, "10.1.0.0/16"), IDENTITY_FIRST_CIDR);
  EXPECT_GE(At(table, "fd00::/8"), IDENTITY_FIRST_CIDR);
  EXPECT_NE(At(table, "10.0.0.0/8"), At(table, "10.1.0.0/16"));
}

TEST(IdentityAllocator, SplitsALabelSetWhereAPolicyCidrCutsThroughIt) {
  DesiredState state;
  state.pods = {MakePod("a1", {{"app", "a"}}, {"10.0.0.1"}),
                MakePod("a2", {{"app", "a"}}, {"10.1.0.1"})};
  state.policies = {CidrPolicy("10.0.0.0/16", {})};
  const auto table = *IdentityAllocator().Update(state, {});
  EXPECT_NE(At(table, "10.0.0.1"), At(table, "10.1.0.1"));
}

TEST(IdentityAllocator, LetsPodsAndNodesKeepAnAddressThatAPolicyNames) {
  DesiredState state;
  state.pods = {MakePod("a", {}, {"10.0.0.1"})};
  state.policies = {CidrPolicy("10.0.0.1/32", {}), CidrPolicy("192.0.2.1/32", {})};
  const auto table = *IdentityAllocator().Update(state, {*ParseAddress("192.0.2.1")});
  EXPECT_LT(At(table, "10.0.0.1"), IDENTITY_FIRST_CIDR);
  EXPECT_EQ(At(table, "192.0.2.1"), IDENTITY_HOST);
}

TEST(IdentityAllocator, LeavesHostNetworkPodsOut) {
  DesiredState state;
  state.pods = {MakePod("a", {}, {"192.0.2.1"})};
  state.pods[0].host_network = true;
  const auto table = *IdentityAllocator().Update(state, {});
  EXPECT_EQ(At(table, "192.0.2.1"), 0u);
  EXPECT_TRUE(table.warnings.empty());
}

TEST(IdentityAllocator, WarnsOfAnAddressThatTwoClaim) {
  DesiredState state;
  state.pods = {MakePod("a", {{"app", "a"}}, {"10.0.0.1"}),
                MakePod("b", {{"app", "b"}}, {"10.0.0.1", "192.0.2.1"})};
  const auto table = *IdentityAllocator().Update(state, {*ParseAddress("192.0.2.1")});
  EXPECT_THAT(
      table.warnings,
      ElementsAre("pod default/b: address 10.0.0.1 belongs to pod default/a already; ignored",
                  "pod default/b: address 192.0.2.1 is this node's own; ignored"));
  EXPECT_EQ(At(table, "192.0.2.1"), IDENTITY_HOST);
}

TEST(Identity, IsDescribedByWhatMakesIt) {
  DesiredState state;
  state.pods = {MakePod("a", {{"app", "a"}, {"tier", "x"}}, {"10.0.0.1"})};
  state.policies = {CidrPolicy("192.0.2.0/24", {})};
  const auto table = *IdentityAllocator().Update(state, {});
  ASSERT_EQ(table.identities.size(), 3u);
  EXPECT_EQ(ToString(table.identities[0]), "host");
  EXPECT_EQ(ToString(table.identities[1]), "default app=a tier=x");
  EXPECT_EQ(ToString(table.identities[2]), "192.0.2.0/24");
}

}  // namespace
}  // namespace bonsai::tables
