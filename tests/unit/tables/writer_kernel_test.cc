// SPDX-License-Identifier: Apache-2.0
// WriteTables against real maps.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>

#include "agent/tables/address.h"
#include "agent/tables/writer.h"
#include "kernel_maps.h"

namespace bonsai::tables {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Writer : public KernelMaps {
 protected:
  // Pods web and db, with a policy that lets db reach web on `ports`.
  Tables PolicyTables(std::vector<PolicyPort> ports) {
    TableInputs inputs;
    Pod web{.namespace_name = "default",
            .name = "web",
            .labels = {{"app", "web"}},
            .addresses = {*ParseAddress("10.0.0.1"), *ParseAddress("fd00::1")}};
    Pod db{.namespace_name = "default",
           .name = "db",
           .labels = {{"app", "db"}},
           .addresses = {*ParseAddress("10.0.0.2")}};
    inputs.state.pods = {web, db};
    inputs.local_pods = {{web, 11}};
    NetworkPolicy policy{.namespace_name = "default", .name = "p", .ingress = true};
    policy.ingress_rules = {
        {.peers = {{.cidr = ParseCidr("10.0.0.0/24")}}, .ports = std::move(ports)}};
    inputs.state.policies = {policy};
    return Built(inputs);
  }

  Tables ServiceTables(int services, int backends) {
    TableInputs inputs;
    for (int s = 0; s < services; ++s) {
      Service service{.namespace_name = "default",
                      .name = "s" + std::to_string(s),
                      .addresses = {*ParseAddress("10.96.0." + std::to_string(s))}};
      service.ports = {{.port = 80}};
      for (int b = 0; b < backends; ++b) {
        service.ports[0].backends.emplace_back(*ParseAddress("10.0.0." + std::to_string(b)), 8080);
      }
      inputs.state.services.push_back(service);
    }
    return Built(inputs);
  }

  Tables Built(const TableInputs& inputs) {
    auto tables = builder_.Build(inputs);
    EXPECT_TRUE(tables.ok()) << tables.status();
    return *std::move(tables);
  }

  TableBuilder builder_;
};

TEST_F(Writer, BringsEachMapToWhatIsWanted) {
  MakePolicyMaps();
  const Tables tables = PolicyTables({{.port = 80}, {.port = 1000, .end_port = 1999}});
  const WriteReport report = WriteTables(tables, targets_);
  EXPECT_THAT(report.errors, IsEmpty());
  for (const char* name : {"endpoints", "ipcache4", "ipcache6", "policy"}) {
    EXPECT_EQ(Read(name), tables.maps.at(name)) << name;
    ASSERT_NE(Find(report, name), nullptr) << name;
    EXPECT_EQ(Find(report, name)->entries, tables.maps.at(name).size()) << name;
    EXPECT_EQ(Find(report, name)->added, tables.maps.at(name).size()) << name;
  }
  EXPECT_EQ(Find(report, "policy")->max_entries, 64u);
  EXPECT_EQ(Find(report, "services4"), nullptr);  // its feature is off
}

TEST_F(Writer, TheKernelFindsWhatTheTrieHolds) {
  MakePolicyMaps();
  const Tables tables = PolicyTables({{.port = 1000, .end_port = 1999}});
  ASSERT_THAT(WriteTables(tables, targets_).errors, IsEmpty());
  const auto allows = [&](uint16_t port) {
    uint32_t identity = 0;
    const Bytes address = LpmKey(*ParseCidr("10.0.0.2/32"));
    EXPECT_TRUE(targets_["ipcache4"].map->Lookup(address.data(), &identity).ok());
    const policy_key key = {.prefixlen = POLICY_PREFIX_FULL,
                            .endpoint_id = tables.endpoints[0].endpoint_id,
                            .identity = identity,
                            .direction = POLICY_INGRESS,
                            .protocol = 6,
                            .port = htons(port)};
    policy_value value;
    return targets_["policy"].map->Lookup(&key, &value).ok() && value.action == POLICY_ALLOW &&
           value.rule == tables.rules[0].id;
  };
  for (uint32_t port = 1; port <= 65535; ++port) {
    ASSERT_EQ(allows(static_cast<uint16_t>(port)), port >= 1000 && port <= 1999) << port;
  }
}

TEST_F(Writer, WritesOnlyTheDifferenceAndRaisesTheEpochOnlyForAChange) {
  MakePolicyMaps();
  const Tables before = PolicyTables({{.port = 80}});
  EXPECT_TRUE(WriteTables(before, targets_).policy_changed);
  const uint32_t epoch = Epoch();
  EXPECT_NE(epoch, 0u);

  const WriteReport again = WriteTables(before, targets_);
  EXPECT_FALSE(again.policy_changed);
  EXPECT_EQ(Epoch(), epoch);
  for (const MapReport& map : again.maps) EXPECT_EQ(map.added + map.changed + map.deleted, 0u);

  const Tables after = PolicyTables({{.port = 81}});
  const WriteReport changed = WriteTables(after, targets_);
  EXPECT_TRUE(changed.policy_changed);
  EXPECT_EQ(Epoch(), epoch + 1);
  EXPECT_GT(Find(changed, "policy")->added, 0u);
  EXPECT_EQ(Find(changed, "policy")->added, Find(changed, "policy")->deleted);
  EXPECT_EQ(Find(changed, "ipcache4")->changed, 0u);
  EXPECT_EQ(Read("policy"), after.maps.at("policy"));
}

TEST_F(Writer, StartsANewEpochMapAtANumberThatNoOldVerdictHas) {
  MakePolicyMaps();
  EXPECT_TRUE(WriteTables({.maps = Built({}).maps}, targets_).policy_changed);  // nothing to write
  const uint32_t first = Epoch();
  const uint32_t key = 0, zero = 0;
  ASSERT_TRUE(targets_["policy_epoch"].map->Update(&key, &zero).ok());  // as made anew
  EXPECT_TRUE(WriteTables({.maps = Built({}).maps}, targets_).policy_changed);
  EXPECT_NE(Epoch(), 0u);
  EXPECT_NE(Epoch(), first);
}

TEST_F(Writer, RaisesTheEpochOnRequestAndSkipsZero) {
  EXPECT_FALSE(*RaisePolicyEpoch(targets_));
  MakePolicyMaps();
  const uint32_t key = 0, last = 0xffffffff;
  ASSERT_TRUE(targets_["policy_epoch"].map->Update(&key, &last).ok());
  EXPECT_FALSE(*RaisePolicyEpoch(targets_, /*only_if_new=*/true));
  EXPECT_TRUE(*RaisePolicyEpoch(targets_));
  EXPECT_EQ(Epoch(), 1u);
}

TEST_F(Writer, CorrectsEntriesThatItDidNotWrite) {
  MakePolicyMaps();
  const Tables tables = PolicyTables({});
  ASSERT_THAT(WriteTables(tables, targets_).errors, IsEmpty());
  const uint32_t stranger = 77;
  const endpoint_value value = {.endpoint_id = 5};
  ASSERT_TRUE(targets_["endpoints"].map->Update(&stranger, &value).ok());
  EXPECT_TRUE(WriteTables(tables, targets_).policy_changed);
  EXPECT_EQ(Read("endpoints"), tables.maps.at("endpoints"));
}

TEST_F(Writer, RefusesWhatDoesNotFitAndLeavesTheWholeGroupAlone) {
  MakePolicyMaps(/*policy_entries=*/4);
  const Tables small = PolicyTables({});
  ASSERT_THAT(WriteTables(small, targets_).errors, IsEmpty());
  const uint32_t epoch = Epoch();
  const std::map<std::string, MapContents> before = {
      {"policy", Read("policy")}, {"endpoints", Read("endpoints")}, {"ipcache4", Read("ipcache4")}};

  Tables big = PolicyTables({{.port = 1, .end_port = 65535}});
  big.maps["endpoints"].clear();
  const WriteReport report = WriteTables(big, targets_);
  ASSERT_EQ(report.errors.size(), 1u);
  EXPECT_EQ(report.errors[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(report.errors[0].message()),
            fmt::format("writing map policy: {} entries wanted, 4 fit; raise policy-setting",
                        big.maps["policy"].size()));
  for (const auto& [name, contents] : before) EXPECT_EQ(Read(name), contents) << name;
  EXPECT_EQ(Epoch(), epoch);
  EXPECT_EQ(Find(report, "policy")->entries, before.at("policy").size());
}

TEST_F(Writer, ReplacesTheContentsOfAFullMap) {
  Make("prefilter4", BPF_MAP_TYPE_LPM_TRIE, sizeof(lpm_key4), sizeof(prefilter_value), 3);
  TableInputs inputs;
  inputs.prefilter_cidrs = {"10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"};
  ASSERT_THAT(WriteTables(Built(inputs), targets_).errors, IsEmpty());
  inputs.prefilter_cidrs = {"20.0.0.0/8", "21.0.0.0/8", "22.0.0.0/8"};
  const Tables after = Built(inputs);
  EXPECT_THAT(WriteTables(after, targets_).errors, IsEmpty());
  EXPECT_EQ(Read("prefilter4"), after.maps.at("prefilter4"));
}

TEST_F(Writer, OneGroupThatDoesNotFitDoesNotHoldUpAnother) {
  MakePolicyMaps(/*policy_entries=*/1);
  Make("prefilter4", BPF_MAP_TYPE_LPM_TRIE, sizeof(lpm_key4), sizeof(prefilter_value), 3);
  Tables tables = PolicyTables({{.port = 1, .end_port = 65535}});
  TableInputs inputs;
  inputs.prefilter_cidrs = {"10.0.0.0/8"};
  tables.maps["prefilter4"] = Built(inputs).maps["prefilter4"];
  EXPECT_EQ(WriteTables(tables, targets_).errors.size(), 1u);
  EXPECT_EQ(Read("prefilter4").size(), 1u);
  EXPECT_TRUE(Read("policy").empty());
}

TEST_F(Writer, WritesServicesAndReplacesTheirLists) {
  MakeServiceMaps();
  ASSERT_THAT(WriteTables(ServiceTables(2, 3), targets_).errors, IsEmpty());
  EXPECT_EQ(Read("services4").size(), 4u);  // with their markers
  EXPECT_EQ(Read("backends4").size(), 6u);

  const Tables after = ServiceTables(1, 2);
  const WriteReport report = WriteTables(after, targets_);
  EXPECT_THAT(report.errors, IsEmpty());
  ASSERT_EQ(Read("services4").size(), 2u);
  const auto& [key, backends] = *std::next(after.services.lists4.begin());
  const auto service = FromBytes<service_value>(Read("services4").at(key));
  EXPECT_EQ(service.count, 2u);
  MapContents expected;
  for (uint32_t slot = 0; slot < 2; ++slot) {
    expected[ToBytes(backend_key{service.list, slot})] = backends[slot];
  }
  EXPECT_EQ(Read("backends4"), expected);
  EXPECT_EQ(Find(report, "backends4")->deleted, 6u);
  EXPECT_EQ(Find(report, "backends4")->entries, 2u);
  EXPECT_EQ(Find(report, "services4")->entries, 2u);
}

TEST_F(Writer, RefusesBackendsThatWouldNotFitBesideTheirPredecessors) {
  MakeServiceMaps(/*backend_entries=*/5);
  ASSERT_THAT(WriteTables(ServiceTables(1, 3), targets_).errors, IsEmpty());
  const MapContents services = Read("services4"), backends = Read("backends4");
  const WriteReport report = WriteTables(ServiceTables(1, 4), targets_);
  ASSERT_EQ(report.errors.size(), 1u);
  EXPECT_EQ(std::string(report.errors[0].message()),
            "writing map backends4: 7 entries wanted, 5 fit; raise backends4-setting");
  EXPECT_EQ(Read("services4"), services);
  EXPECT_EQ(Read("backends4"), backends);
}

TEST_F(Writer, WritesPortsInPlaceAndDoesNotCallTheirArrayFull) {
  Make("http_ports", BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(l7_ports), 1);
  TableInputs inputs;
  inputs.http_ports = {"80", "8080"};
  const Tables first = Built(inputs);
  const WriteReport report = WriteTables(first, targets_);
  EXPECT_THAT(report.errors, IsEmpty());
  EXPECT_EQ(Find(report, "http_ports"), nullptr);  // always one of one: no pressure
  EXPECT_EQ(Read("http_ports"), first.maps.at("http_ports"));
  inputs.http_ports = {};
  const Tables second = Built(inputs);
  EXPECT_THAT(WriteTables(second, targets_).errors, IsEmpty());
  EXPECT_EQ(Read("http_ports"), second.maps.at("http_ports"));
  EXPECT_NE(first.maps.at("http_ports"), second.maps.at("http_ports"));
}

TEST_F(Writer, RefusesAMapOfAnotherLayout) {
  Make("prefilter4", BPF_MAP_TYPE_HASH, 4, 4, 8);
  TableInputs inputs;
  inputs.prefilter_cidrs = {"10.0.0.0/8"};
  const WriteReport report = WriteTables(Built(inputs), targets_);
  ASSERT_EQ(report.errors.size(), 1u);
  EXPECT_THAT(std::string(report.errors[0].message()), HasSubstr("entries have 8+4 bytes"));
}

}  // namespace
}  // namespace bonsai::tables
