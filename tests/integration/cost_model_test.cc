// SPDX-License-Identifier: Apache-2.0
// The cost model against what the kernel says in fdinfo, over all map types of the datapath (and
// some more) and many sizes.
#include <linux/bpf.h>
#include <unistd.h>

#include <cmath>
#include <random>

#include "agent/kernel/bpf_map.h"
#include "agent/kernel/map_costs.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

struct Kind {
  uint32_t type;
  uint32_t flags;
  bool fixed_shape;  // key 4, value 4
};

constexpr Kind kHashes[] = {
    {BPF_MAP_TYPE_HASH, 0, false},
    {BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, false},
    {BPF_MAP_TYPE_LRU_HASH, 0, false},
    {BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU, false},
    {BPF_MAP_TYPE_PERCPU_HASH, 0, false},
    {BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC, false},
    {BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, false},
};
constexpr Kind kArrays[] = {
    {BPF_MAP_TYPE_ARRAY, 0, false},
    {BPF_MAP_TYPE_ARRAY, BPF_F_RDONLY_PROG, false},
    {BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, false},
    {BPF_MAP_TYPE_PERCPU_ARRAY, 0, false},
    {BPF_MAP_TYPE_PROG_ARRAY, 0, true},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, true},
};

plan::CostFacts Facts() {
  plan::CostFacts facts{.possible_cpus = *kernel::PossibleCpus(),
                        .page_size = static_cast<uint32_t>(sysconf(_SC_PAGESIZE))};
  auto costs = kernel::MeasureMapCosts();
  EXPECT_TRUE(costs.ok()) << costs.status();
  if (costs.ok()) facts.costs = *costs;
  return facts;
}

void ExpectPredicted(const kernel::MapAttributes& map, const plan::CostFacts& facts) {
  auto made = kernel::BpfMap::Create(map);
  ASSERT_TRUE(made.ok()) << made.status();
  uint64_t measured = *made->MemoryBytes();
  uint64_t predicted = plan::MapBytes(map.type, map.key_size, map.value_size, map.max_entries,
                                      map.map_flags, facts);
  EXPECT_NEAR(static_cast<double>(predicted), static_cast<double>(measured), 0.01 * measured)
      << kernel::MapTypeName(map.type) << " key " << map.key_size << " value " << map.value_size
      << " entries " << map.max_entries << " flags " << map.map_flags;
}

#define REQUIRE_EXACT_KERNEL()                                              \
  REQUIRE_ROOT();                                                           \
  if (absl::IsFailedPrecondition(kernel::MeasureMapCosts().status())) {     \
    GTEST_SKIP() << "this kernel does not tell the memory of maps";         \
  }

TEST(CostModel, EqualsFdinfoForHashesOfAllSizes) {
  REQUIRE_EXACT_KERNEL();
  plan::CostFacts facts = Facts();
  std::mt19937 random(1);
  for (const Kind& kind : kHashes) {
    for (uint32_t entries : {1u, 2u, 3u, 64u, 100u, 1000u, 1025u, 16384u, 65536u, 100001u}) {
      uint32_t key = 1 + random() % 64, value = 1 + random() % 128;
      ExpectPredicted({.type = kind.type, .key_size = key, .value_size = value,
                       .max_entries = entries, .map_flags = kind.flags, .name = "bonsai_cost"},
                      facts);
    }
  }
}

TEST(CostModel, EqualsFdinfoForArraysOfAllSizes) {
  REQUIRE_EXACT_KERNEL();
  plan::CostFacts facts = Facts();
  std::mt19937 random(2);
  for (const Kind& kind : kArrays) {
    for (uint32_t entries : {1u, 2u, 5u, 60u, 1000u, 65536u}) {
      uint32_t value = kind.fixed_shape ? 4 : 1 + random() % 200;
      ExpectPredicted({.type = kind.type, .key_size = 4, .value_size = value,
                       .max_entries = entries, .map_flags = kind.flags, .name = "bonsai_cost"},
                      facts);
    }
  }
}

TEST(CostModel, EqualsFdinfoForRingBuffersAndQueues) {
  REQUIRE_EXACT_KERNEL();
  plan::CostFacts facts = Facts();
  for (uint32_t bytes = facts.page_size; bytes <= 16u << 20; bytes *= 2) {
    ExpectPredicted({.type = BPF_MAP_TYPE_RINGBUF, .max_entries = bytes, .name = "bonsai_cost"},
                    facts);
  }
  for (uint32_t entries : {1u, 10u, 1000u}) {
    ExpectPredicted({.type = BPF_MAP_TYPE_QUEUE, .value_size = 16, .max_entries = entries,
                     .name = "bonsai_cost"},
                    facts);
  }
}

TEST(CostModel, EqualsFdinfoForTriesAsTheyFill) {
  REQUIRE_EXACT_KERNEL();
  plan::CostFacts facts = Facts();
  for (auto [key, value] : {std::pair{8u, 4u}, {20u, 4u}, {16u, 8u}}) {
    auto trie = kernel::BpfMap::Create({.type = BPF_MAP_TYPE_LPM_TRIE, .key_size = key,
                                        .value_size = value, .max_entries = 1000,
                                        .map_flags = BPF_F_NO_PREALLOC, .name = "bonsai_cost"});
    ASSERT_OK(trie);
    for (uint32_t used = 0; used < 300; ++used) {
      EXPECT_EQ(*trie->MemoryBytes(), plan::MapBytes(BPF_MAP_TYPE_LPM_TRIE, key, value, 1000,
                                                     BPF_F_NO_PREALLOC, facts, used));
      std::vector<uint8_t> bytes(key), content(value);
      uint32_t prefix = 32, address = used;
      memcpy(bytes.data(), &prefix, 4);
      memcpy(bytes.data() + 4, &address, 4);
      ASSERT_OK(trie->Update(bytes.data(), content.data()));
    }
  }
}

TEST(CostModel, EqualsFdinfoForUnpreallocatedHashesAsTheyFill) {
  REQUIRE_EXACT_KERNEL();
  plan::CostFacts facts = Facts();
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH}) {
    auto hash = kernel::BpfMap::Create({.type = type, .key_size = 4, .value_size = 12,
                                        .max_entries = 1000, .map_flags = BPF_F_NO_PREALLOC,
                                        .name = "bonsai_cost"});
    ASSERT_OK(hash);
    std::vector<uint8_t> value(hash->ValueBytes());
    for (uint32_t used = 0; used < 100; ++used) {
      EXPECT_EQ(*hash->MemoryBytes(),
                plan::MapBytes(type, 4, 12, 1000, BPF_F_NO_PREALLOC, facts, used));
      ASSERT_OK(hash->Update(&used, value.data()));
    }
  }
}

}  // namespace
}  // namespace bonsai::testing
