// SPDX-License-Identifier: Apache-2.0
// Real maps of the datapath's layouts, small ones. They are gone when their descriptors are.
#pragma once

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <list>
#include <map>
#include <string>

#include "agent/kernel/bpf_map.h"
#include "agent/tables/writer.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {

class KernelMaps : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: it makes BPF maps";
  }

  const kernel::BpfMap& Make(const std::string& name, uint32_t type, uint32_t key_size,
                             uint32_t value_size, uint32_t max_entries) {
    kernel::MapAttributes attributes;
    attributes.type = type;
    attributes.key_size = key_size;
    attributes.value_size = value_size;
    attributes.max_entries = max_entries;
    attributes.map_flags = type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0;
    attributes.name = name;
    auto map = kernel::BpfMap::Create(attributes);
    if (!map.ok()) throw std::runtime_error(map.status().ToString());
    maps_.push_back(*std::move(map));
    targets_[name] = {&maps_.back(), name + "-setting"};
    return maps_.back();
  }

  void MakePolicyMaps(uint32_t policy_entries = 64) {
    Make("endpoints", BPF_MAP_TYPE_HASH, 4, sizeof(endpoint_value), 8);
    Make("ipcache4", BPF_MAP_TYPE_LPM_TRIE, sizeof(lpm_key4), sizeof(ipcache_value), 32);
    Make("ipcache6", BPF_MAP_TYPE_LPM_TRIE, sizeof(lpm_key6), sizeof(ipcache_value), 32);
    Make("policy", BPF_MAP_TYPE_LPM_TRIE, sizeof(policy_key), sizeof(policy_value), policy_entries);
    Make("policy_epoch", BPF_MAP_TYPE_ARRAY, 4, 4, 1);
  }
  void MakeServiceMaps(uint32_t backend_entries = 16) {
    Make("services4", BPF_MAP_TYPE_HASH, sizeof(service_key4), sizeof(service_value), 8);
    Make("backends4", BPF_MAP_TYPE_HASH, sizeof(backend_key), sizeof(backend4), backend_entries);
  }

  MapContents Read(const std::string& name) {
    auto contents = ReadContents(*targets_.at(name).map);
    EXPECT_TRUE(contents.ok()) << contents.status();
    return contents.ok() ? *contents : MapContents();
  }
  uint32_t Epoch() { return FromBytes<uint32_t>(Read("policy_epoch").begin()->second); }

  std::list<kernel::BpfMap> maps_;  // a list: targets_ points into it
  TargetMaps targets_;
};

inline const MapReport* Find(const WriteReport& report, const std::string& name) {
  for (const MapReport& map : report.maps) {
    if (map.name == name) return &map;
  }
  return nullptr;
}

}  // namespace bonsai::tables
