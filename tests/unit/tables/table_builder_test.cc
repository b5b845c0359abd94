// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/table_builder.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/tables/address.h"
#include "agent/tables/prefilter.h"

namespace bonsai::tables {
namespace {

using ::testing::HasSubstr;

TableInputs TwoPods() {
  TableInputs inputs;
  Pod a{.namespace_name = "default",
        .name = "a",
        .labels = {{"app", "a"}},
        .addresses = {*ParseAddress("fd00::1"), *ParseAddress("10.0.0.1")}};
  Pod b{.namespace_name = "default", .name = "b", .addresses = {*ParseAddress("10.0.0.2")}};
  inputs.state.pods = {a, b};
  inputs.local_pods = {{a, 11}, {b, 12}};
  return inputs;
}

endpoint_value Endpoint(const Tables& tables, uint32_t ifindex) {
  return FromBytes<endpoint_value>(tables.maps.at("endpoints").at(ToBytes(ifindex)));
}

TEST(TableBuilder, DescribesEndpointsByDevice) {
  const auto tables = *TableBuilder().Build(TwoPods());
  const endpoint_value a = Endpoint(tables, 11);
  EXPECT_NE(a.endpoint_id, 0u);
  EXPECT_EQ(a.ipv4, inet_addr("10.0.0.1"));
  EXPECT_EQ(a.ipv6[0], 0xfd);
  EXPECT_EQ(a.ipv6[15], 1);
  EXPECT_EQ(a.flags, 0u);
  const endpoint_value b = Endpoint(tables, 12);
  EXPECT_NE(b.endpoint_id, a.endpoint_id);
  EXPECT_NE(b.identity, a.identity);
  EXPECT_EQ(b.ipv6[0], 0);
  EXPECT_EQ(tables.endpoints[0].identity, a.identity);
}

TEST(TableBuilder, KeepsEndpointIdsWhenPodsComeAndGoAndMove) {
  TableBuilder builder;
  TableInputs inputs = TwoPods();
  const uint32_t b = builder.Build(inputs)->endpoints[1].endpoint_id;
  inputs.local_pods.erase(inputs.local_pods.begin());
  inputs.local_pods[0].ifindex = 99;
  const auto tables = *builder.Build(inputs);
  EXPECT_EQ(Endpoint(tables, 99).endpoint_id, b);
  EXPECT_EQ(tables.maps.at("endpoints").size(), 1u);
}

TEST(TableBuilder, GivesTheSameTablesForTheSameInputs) {
  TableBuilder first, second;
  const auto a = *first.Build(TwoPods());
  EXPECT_EQ(a.maps, first.Build(TwoPods())->maps);
  EXPECT_EQ(a.maps, second.Build(TwoPods())->maps);  // as after a restart
}

TEST(TableBuilder, AlwaysFillsEveryMapSoThatOldEntriesGo) {
  const auto tables = *TableBuilder().Build({});
  for (const char* map :
       {"endpoints", "ipcache4", "ipcache6", "policy", "prefilter4", "prefilter6",
        "dns_deny"}) {
    ASSERT_TRUE(tables.maps.contains(map)) << map;
    EXPECT_TRUE(tables.maps.at(map).empty()) << map;
  }
}

l7_ports Ports(const Tables& tables, const char* map) {
  const MapContents& contents = tables.maps.at(map);
  EXPECT_EQ(contents.size(), 1u);
  return FromBytes<l7_ports>(contents.at(ToBytes(uint32_t{0})));
}

bool Has(const l7_ports& ports, uint32_t port) { return ports.bits[port / 64] >> port % 64 & 1; }

TEST(TableBuilder, SetsTheBitOfEachPortAndOfNoOther) {
  TableInputs inputs;
  inputs.http_ports = {"1", "63-64", "127-192", "65535", "130"};
  const auto tables = *TableBuilder().Build(inputs);
  const l7_ports http = Ports(tables, "http_ports"), dns = Ports(tables, "dns_ports");
  for (uint32_t port = 0; port < 65536; ++port) {
    const bool wanted = port == 1 || port == 63 || port == 64 || (port >= 127 && port <= 192) ||
                        port == 65535;
    ASSERT_EQ(Has(http, port), wanted) << port;
    ASSERT_FALSE(Has(dns, port)) << port;
  }
}

TEST(TableBuilder, RefusesWhatIsNoPort) {
  for (const char* text : {"", "x", "80-", "-80", "65536", "90-80"}) {
    TableInputs inputs;
    inputs.dns_ports = {text};
    EXPECT_EQ(TableBuilder().Build(inputs).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(TableBuilder, RefusesABadPrefilterEntry) {
  TableInputs inputs;
  inputs.prefilter_cidrs = {"10.0.0.0/8", "nonsense"};
  const auto tables = TableBuilder().Build(inputs);
  EXPECT_EQ(tables.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tables.status().message()), HasSubstr("entry 1 \"nonsense\" is no CIDR"));
}

TEST(BuildPrefilter, NumbersRulesByPlace) {
  const auto table = *BuildPrefilter({"10.0.0.0/8", "fd00::/8", "10.1.2.3", "10.0.0.1/8"});
  const auto rule = [](const MapContents& map, const char* cidr) {
    return FromBytes<prefilter_value>(map.at(LpmKey(*ParseCidr(cidr)))).rule;
  };
  EXPECT_EQ(rule(table.prefilter4, "10.0.0.0/8"), 0u);  // the first of two equal ones
  EXPECT_EQ(rule(table.prefilter6, "fd00::/8"), 1u);
  EXPECT_EQ(rule(table.prefilter4, "10.1.2.3/32"), 2u);
  EXPECT_EQ(table.prefilter4.size(), 2u);
}

}  // namespace
}  // namespace bonsai::tables
