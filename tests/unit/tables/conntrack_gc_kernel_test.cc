// SPDX-License-Identifier: Apache-2.0
// Sweeping real LRU hashes by the kernel's own jiffies.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <set>

#include "agent/kernel/bpf_program.h"
#include "agent/tables/conntrack_gc.h"
#include "kernel_maps.h"

namespace bonsai::tables {
namespace {

class ConntrackGc : public KernelMaps {
 protected:
  void SetUp() override {
    KernelMaps::SetUp();
    if (IsSkipped()) return;
    maps_to_sweep_.ct4 =
        &Make("ct4", BPF_MAP_TYPE_LRU_HASH, sizeof(ct_key4), sizeof(ct_entry), 65536);
    maps_to_sweep_.ct6 =
        &Make("ct6", BPF_MAP_TYPE_LRU_HASH, sizeof(ct_key6), sizeof(ct_entry), 1024);
  }

  void Put4(uint16_t pod_port, uint8_t protocol, uint64_t expires) {
    const ct_key4 key = {.pod = inet_addr("10.0.0.1"), .pod_port = pod_port, .protocol = protocol};
    Put(*maps_to_sweep_.ct4, key, {.expires = expires});
  }
  template <typename Key>
  void Put(const kernel::BpfMap& map, const Key& key, const ct_entry& entry) {
    const absl::Status status = map.Update(&key, &entry);
    ASSERT_TRUE(status.ok()) << status;
  }

  std::set<uint16_t> PortsLeft() {
    std::set<uint16_t> ports;
    for (const auto& [key, value] : Read("ct4")) ports.insert(FromBytes<ct_key4>(key).pod_port);
    return ports;
  }

  ConntrackMaps maps_to_sweep_;
};

TEST_F(ConntrackGc, DeletesExactlyWhatHasExpired) {
  auto clock = kernel::JiffiesClock::Make();
  ASSERT_TRUE(clock.ok()) << clock.status();
  const auto now = clock->Now();
  ASSERT_TRUE(now.ok()) << now.status();
  std::set<uint16_t> alive;
  // More than one batch of the kernel's, half of it expired.
  for (uint16_t port = 1; port <= 5000; ++port) {
    const bool lives = port % 2 == 0;
    if (lives) alive.insert(port);
    Put4(port, port % 3 == 0 ? IPPROTO_UDP : IPPROTO_TCP, lives ? *now + 1 + port : *now - port);
  }
  Put(*maps_to_sweep_.ct6, ct_key6{.pod_port = 1, .protocol = IPPROTO_ICMPV6}, {.expires = *now});
  Put(*maps_to_sweep_.ct6, ct_key6{.pod_port = 2, .protocol = IPPROTO_ICMPV6},
      {.expires = *now + 1});

  const auto report = CollectConntrack(maps_to_sweep_, *now);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(PortsLeft(), alive);
  EXPECT_EQ(Read("ct6").size(), 1u);
  EXPECT_EQ(report->total.deleted, 2501u);
  EXPECT_EQ(report->total.alive, 2501u);
  EXPECT_EQ((report->kinds.at({4, IPPROTO_UDP}).deleted), 833u);
  EXPECT_EQ((report->kinds.at({4, IPPROTO_UDP}).alive), 833u);
  EXPECT_EQ((report->kinds.at({4, IPPROTO_TCP}).deleted), 1667u);
  EXPECT_EQ((report->kinds.at({6, IPPROTO_ICMPV6}).deleted), 1u);
  EXPECT_GT(report->duration.count(), 0);

  const auto again = CollectConntrack(maps_to_sweep_, *now);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->total.deleted, 0u);
  EXPECT_EQ(again->total.alive, 2501u);
}

// The datapath would take it from there, as the older entry knew it.
TEST_F(ConntrackGc, WhatGoesGoesFromTheTableThatEntriesMoveFromAsWell) {
  maps_to_sweep_.ct4_old =
      &Make("ct4_old", BPF_MAP_TYPE_LRU_HASH, sizeof(ct_key4), sizeof(ct_entry), 1024);
  for (uint16_t port = 1; port <= 3; ++port) {
    const ct_key4 key = {.pod = inet_addr("10.0.0.1"), .pod_port = port, .protocol = IPPROTO_TCP};
    Put(*maps_to_sweep_.ct4_old, key, {.expires = 100, .flags = CT_ESTABLISHED});
  }
  Put4(1, IPPROTO_TCP, 5);   // closed since
  Put4(2, IPPROTO_TCP, 50);
  const auto report = CollectConntrack(maps_to_sweep_, 10);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->total.deleted, 1u);
  EXPECT_EQ(PortsLeft(), std::set<uint16_t>{2});
  EXPECT_EQ(Read("ct4_old").size(), 2u);
  const auto alive = CountAlive(*maps_to_sweep_.ct4_old, 99);
  ASSERT_TRUE(alive.ok()) << alive.status();
  EXPECT_EQ(*alive, 2u);
  EXPECT_EQ(*CountAlive(*maps_to_sweep_.ct4_old, 100), 0u);
}

TEST_F(ConntrackGc, WorksWithOneFamilyOrNone) {
  Put4(1, IPPROTO_TCP, 5);
  const auto none = CollectConntrack({}, 10);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->total.deleted, 0u);
  const auto one = CollectConntrack({.ct4 = maps_to_sweep_.ct4}, 10);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->total.deleted, 1u);
}

TEST_F(ConntrackGc, RefusesAMapOfAnotherLayout) {
  const auto& other = Make("other", BPF_MAP_TYPE_LRU_HASH, 4, 4, 16);
  EXPECT_EQ(CollectConntrack({.ct4 = &other}, 10).status().code(), absl::StatusCode::kInternal);
}

// A service 10.96.0.1:80 with backend 10.0.0.2:8080, and the two entries of a flow to `backend`.
class PurgeTest : public ConntrackGc {
 protected:
  void PutFlow(uint16_t pod_port, uint8_t protocol, const char* backend, uint16_t flags) {
    ct_entry front = {.expires = 1000,
                      .flags = static_cast<uint16_t>(flags | CT_NAT_FRONT),
                      .nat_port = htons(8080)};
    const uint32_t address = inet_addr(backend);
    std::memcpy(front.nat_addr, &address, sizeof(address));
    Put(*maps_to_sweep_.ct4,
        ct_key4{.pod = inet_addr("10.0.0.9"),
                .peer = inet_addr("10.96.0.1"),
                .pod_port = pod_port,
                .peer_port = htons(80),
                .protocol = protocol},
        front);
    ct_entry back = {.expires = 1000,
                     .flags = static_cast<uint16_t>(flags | CT_NAT_BACK),
                     .nat_port = htons(80)};
    const uint32_t service = inet_addr("10.96.0.1");
    std::memcpy(back.nat_addr, &service, sizeof(service));
    Put(*maps_to_sweep_.ct4,
        ct_key4{.pod = inet_addr("10.0.0.9"),
                .peer = address,
                .pod_port = pod_port,
                .peer_port = htons(8080),
                .protocol = protocol},
        back);
  }

  ServiceTable Services(const std::vector<uint8_t>& protocols) {
    Service service{
        .namespace_name = "default", .name = "s", .addresses = {*ParseAddress("10.96.0.1")}};
    for (const uint8_t protocol : protocols) {
      service.ports.push_back(
          {.protocol = protocol, .port = 80, .backends = {{*ParseAddress("10.0.0.2"), 8080}}});
    }
    return BuildServices({service});
  }
};

TEST_F(PurgeTest, RemovesBothEntriesOfFlowsWhoseBackendHasGone) {
  PutFlow(1, IPPROTO_UDP, "10.0.0.2", CT_ESTABLISHED);  // backend still there
  PutFlow(2, IPPROTO_UDP, "10.0.0.3", CT_ESTABLISHED);  // gone
  PutFlow(3, IPPROTO_TCP, "10.0.0.3", 0);               // gone, handshake not over
  PutFlow(4, IPPROTO_TCP, "10.0.0.3", CT_ESTABLISHED);  // gone, may finish
  PutFlow(5, IPPROTO_TCP, "10.0.0.2", 0);               // backend still there
  Put4(6, IPPROTO_UDP, 1000);                           // not through a service
  const auto purged = PurgeBackends(maps_to_sweep_, Services({IPPROTO_TCP, IPPROTO_UDP}));
  ASSERT_TRUE(purged.ok()) << purged.status();
  EXPECT_EQ(*purged, 4u);
  EXPECT_EQ(PortsLeft(), (std::set<uint16_t>{1, 4, 5, 6}));
  EXPECT_EQ(Read("ct4").size(), 7u);
}

TEST_F(PurgeTest, RemovesFlowsOfAServicePortThatHasGone) {
  PutFlow(1, IPPROTO_UDP, "10.0.0.2", CT_ESTABLISHED);
  const auto purged = PurgeBackends(maps_to_sweep_, Services({IPPROTO_TCP}));
  ASSERT_TRUE(purged.ok()) << purged.status();
  EXPECT_EQ(*purged, 2u);
}

TEST_F(PurgeTest, KnowsTheOtherFamily) {
  const Address service = *ParseAddress("fd96::1"), backend = *ParseAddress("fd00::2");
  ct_key6 key = {.peer_port = htons(80), .protocol = IPPROTO_UDP};
  std::memcpy(key.peer, service.bytes, 16);
  ct_entry entry = {.expires = 1000, .flags = CT_NAT_FRONT, .nat_port = htons(8080)};
  std::memcpy(entry.nat_addr, backend.bytes, 16);
  Put(*maps_to_sweep_.ct6, key, entry);
  Service with{.namespace_name = "default", .name = "s", .addresses = {service}};
  with.ports = {{.protocol = IPPROTO_UDP, .port = 80, .backends = {{backend, 8080}}}};
  EXPECT_EQ(*PurgeBackends(maps_to_sweep_, BuildServices({with})), 0u);
  with.ports[0].backends[0].second = 8081;
  EXPECT_EQ(*PurgeBackends(maps_to_sweep_, BuildServices({with})), 1u);
  EXPECT_TRUE(Read("ct6").empty());
}

}  // namespace
}  // namespace bonsai::tables
