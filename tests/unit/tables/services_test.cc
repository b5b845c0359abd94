// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/services.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

using Map = ServiceWrite::Map;
using ::testing::ElementsAre;

std::pair<Address, uint16_t> Backend(const std::string& address, uint16_t port) {
  return {*ParseAddress(address), port};
}

Service MakeService(const std::string& name, const std::vector<std::string>& addresses,
                    std::vector<std::pair<Address, uint16_t>> backends) {
  Service service{.namespace_name = "default", .name = name};
  for (const auto& text : addresses) service.addresses.push_back(*ParseAddress(text));
  service.ports = {{.name = "http", .port = 80, .backends = std::move(backends)}};
  return service;
}

// The service itself stands after its marker.
const ServiceLists::value_type& First(const ServiceLists& lists) {
  return *std::next(lists.begin());
}

TEST(BuildServices, GivesEachAddressBackendsOfItsFamily) {
  const auto table = BuildServices({MakeService(
      "web", {"10.96.0.1", "fd96::1"},
      {Backend("10.0.0.2", 8080), Backend("fd00::2", 8080), Backend("10.0.0.1", 8080)})});
  ASSERT_EQ(table.lists4.size(), 2u);
  ASSERT_EQ(table.lists6.size(), 2u);
  const auto key = FromBytes<service_key4>(First(table.lists4).first);
  EXPECT_EQ(key.addr, inet_addr("10.96.0.1"));
  EXPECT_EQ(key.port, htons(80));
  EXPECT_EQ(key.protocol, 6);
  const auto& backends = First(table.lists4).second;
  ASSERT_EQ(backends.size(), 2u);
  EXPECT_EQ(FromBytes<backend4>(backends[0]).addr, inet_addr("10.0.0.1"));
  EXPECT_EQ(FromBytes<backend4>(backends[0]).port, htons(8080));
  const auto& backends6 = First(table.lists6).second;
  ASSERT_EQ(backends6.size(), 1u);
  EXPECT_EQ(FromBytes<backend6>(backends6[0]).addr[15], 2);
}

TEST(BuildServices, CountsABackendOnceAndOrderDoesNotMatter) {
  const auto a = BuildServices(
      {MakeService("web", {"10.96.0.1"},
                   {Backend("10.0.0.1", 80), Backend("10.0.0.2", 80), Backend("10.0.0.1", 80)})});
  const auto b = BuildServices(
      {MakeService("web", {"10.96.0.1"}, {Backend("10.0.0.2", 80), Backend("10.0.0.1", 80)})});
  EXPECT_EQ(a.lists4, b.lists4);
}

TEST(BuildServices, KeepsAServiceWithoutBackendsSoThatItIsRefused) {
  const auto table = BuildServices({MakeService("web", {"10.96.0.1"}, {})});
  ASSERT_EQ(table.lists4.size(), 2u);
  const auto plan = PlanServices(table.lists4, {}, {});
  ASSERT_EQ(plan.writes.size(), 2u);
  EXPECT_EQ(FromBytes<service_key4>(plan.writes[1].key).port, htons(80));
  EXPECT_EQ(FromBytes<service_value>(plan.writes[1].value).count, 0u);
}

TEST(BuildServices, MarksEachAddressOnce) {
  Service service = MakeService("web", {"10.96.0.1"}, {Backend("10.0.0.1", 80)});
  service.ports.push_back({.name = "dns", .protocol = 17, .port = 53});
  const auto table = BuildServices({service, MakeService("none", {}, {})});
  ASSERT_EQ(table.lists4.size(), 3u);
  const auto& [key, backends] = *table.lists4.begin();
  EXPECT_EQ(key, ToBytes(service_key4{.addr = inet_addr("10.96.0.1")}));
  EXPECT_TRUE(backends.empty());
  const auto plan = PlanServices({{key, backends}}, {}, {});
  ASSERT_EQ(plan.writes.size(), 1u);
  EXPECT_EQ(plan.writes[0].value, ToBytes(service_value{}));
}

TEST(BuildServices, MarksNoAddressWithoutPorts) {
  Service service = MakeService("sctp", {"10.96.0.1"}, {});
  service.ports.clear();
  EXPECT_TRUE(BuildServices({service}).lists4.empty());
}

TEST(BuildServices, WarnsWhenTwoServicesClaimOneAddress) {
  const auto table = BuildServices({MakeService("a", {"10.96.0.1"}, {Backend("10.0.0.1", 1)}),
                                    MakeService("b", {"10.96.0.1"}, {Backend("10.0.0.2", 1)})});
  EXPECT_THAT(table.warnings, ElementsAre("service default/b: 10.96.0.1 port 80/TCP belongs to "
                                          "service default/a already; ignored"));
  EXPECT_EQ(FromBytes<backend4>(First(table.lists4).second[0]).addr, inet_addr("10.0.0.1"));
}

// Two maps that the writes are carried out on, checking after each one what a reader would see.
struct Maps {
  MapContents services, backends;
  size_t most_backends = 0, most_services = 0;

  void Do(const ServiceWrite& write) {
    MapContents& map = write.map == Map::kServices ? services : backends;
    if (write.value.empty()) {
      EXPECT_EQ(map.erase(write.key), 1u);
    } else {
      map[write.key] = write.value;
    }
    most_backends = std::max(most_backends, backends.size());
    most_services = std::max(most_services, services.size());
  }

  // The backends a reader of `service` may get; fails the test when a slot is missing.
  std::vector<Bytes> Read(const Bytes& service) const {
    const auto value = FromBytes<service_value>(services.at(service));
    std::vector<Bytes> list;
    for (uint32_t slot = 0; slot < value.count; ++slot) {
      const auto found = backends.find(ToBytes(backend_key{value.list, slot}));
      if (found == backends.end()) {
        ADD_FAILURE() << "list " << value.list << " lacks slot " << slot;
        continue;
      }
      list.push_back(found->second);
    }
    return list;
  }
};

ServiceLists RandomLists() {
  ServiceLists lists;
  for (uint8_t i = 0; i < 6; ++i) {
    if (*rc::gen::inRange(0, 4) == 0) continue;
    const service_key4 key = {.addr = i, .port = 80, .protocol = 6};
    std::set<Bytes> backends;
    for (int count = *rc::gen::inRange(0, 5); count > 0; --count) {
      backends.insert(ToBytes(backend4{.addr = *rc::gen::inRange(1u, 8u), .port = 80}));
    }
    lists[ToBytes(key)] = {backends.begin(), backends.end()};
  }
  return lists;
}

void CheckPlan(Maps& maps, const ServiceLists& before, const ServiceLists& after) {
  const ServicePlan plan = PlanServices(after, maps.services, maps.backends);
  maps.most_backends = maps.backends.size();
  maps.most_services = maps.services.size();
  for (const ServiceWrite& write : plan.writes) {
    maps.Do(write);
    // At every moment each service has its old list whole, or its new one.
    for (const auto& [key, value] : maps.services) {
      const auto list = maps.Read(key);
      const bool old_list = before.contains(key) && list == before.at(key);
      RC_ASSERT(old_list || (after.contains(key) && list == after.at(key)));
    }
  }
  RC_ASSERT(!::testing::Test::HasFailure());
  RC_ASSERT(maps.services.size() == after.size());
  size_t backends = 0;
  for (const auto& [key, list] : after) {
    RC_ASSERT(maps.Read(key) == list);
    backends += list.size();
  }
  RC_ASSERT(maps.backends.size() == backends);  // nothing is left over
  RC_ASSERT(plan.final_backends == backends && plan.final_services == after.size());
  RC_ASSERT(plan.peak_backends == maps.most_backends && plan.peak_services == maps.most_services);
  RC_ASSERT(PlanServices(after, maps.services, maps.backends).writes.empty());
}

TEST(PlanServices, LeavesEachServiceWholeAtEveryStep) {
  EXPECT_TRUE(rc::check([] {
    Maps maps;
    ServiceLists before;
    for (int step = 0; step < 4; ++step) {
      const ServiceLists after = RandomLists();
      CheckPlan(maps, before, after);
      before = after;
    }
  }));
}

TEST(PlanServices, TouchesOnlyWhatChanged) {
  Maps maps;
  ServiceLists lists = {
      {ToBytes(service_key4{.addr = 1, .port = 80, .protocol = 6}), {ToBytes(backend4{.addr = 1})}},
      {ToBytes(service_key4{.addr = 2, .port = 80, .protocol = 6}),
       {ToBytes(backend4{.addr = 2})}}};
  for (const auto& write : PlanServices(lists, {}, {}).writes) maps.Do(write);
  lists.begin()->second.push_back(ToBytes(backend4{.addr = 3}));
  const auto plan = PlanServices(lists, maps.services, maps.backends);
  ASSERT_EQ(plan.writes.size(), 4u);  // two slots, the service, the old slot
  EXPECT_EQ(plan.writes[2].map, Map::kServices);
  EXPECT_EQ(plan.writes[2].key, lists.begin()->first);
  EXPECT_TRUE(plan.writes[3].value.empty());
}

TEST(PlanServices, SweepsListsThatAKilledAgentLeft) {
  const MapContents backends = {{ToBytes(backend_key{9, 0}), ToBytes(backend4{.addr = 1})},
                                {ToBytes(backend_key{0, 0}), ToBytes(backend4{.addr = 1})}};
  const MapContents services = {{ToBytes(service_key4{.addr = 1}), ToBytes(service_value{})}};
  const auto plan = PlanServices({{services.begin()->first, {}}}, services, backends);
  ASSERT_EQ(plan.writes.size(), 2u);
  EXPECT_EQ(plan.writes[0].map, Map::kBackends);
  EXPECT_EQ(plan.final_backends, 0u);
}

TEST(PlanServices, RepairsAListWithAMissingSlot) {
  Maps maps;
  const ServiceLists lists = {{ToBytes(service_key4{.addr = 1, .port = 80, .protocol = 6}),
                               {ToBytes(backend4{.addr = 1}), ToBytes(backend4{.addr = 2})}}};
  for (const auto& write : PlanServices(lists, {}, {}).writes) maps.Do(write);
  maps.backends.erase(maps.backends.begin());
  for (const auto& write : PlanServices(lists, maps.services, maps.backends).writes) maps.Do(write);
  EXPECT_EQ(maps.Read(lists.begin()->first), lists.begin()->second);
  EXPECT_EQ(maps.backends.size(), 2u);
}

}  // namespace
}  // namespace bonsai::tables
