// SPDX-License-Identifier: Apache-2.0
// Numbers measured on kernel 6.18, x86-64, two CPUs; integration/cost_model_test.cc asks the kernel
// it runs on.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include "agent/plan/load_plan.h"

namespace bonsai::plan {
namespace {

constexpr CostFacts kTwoCpus{.possible_cpus = 2, .page_size = 4096};

struct Measured {
  uint32_t type, key, value, entries, flags;
  uint64_t bytes;
};

TEST(MapBytes, EqualsWhatTheKernelSaid) {
  for (const Measured& map : {
           Measured{BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, 320},
           Measured{BPF_MAP_TYPE_ARRAY, 4, 8, 1000, 0, 8312},
           Measured{BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE, 8192},
           Measured{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 60, 0, 2712},
           Measured{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 10, 0, 392},
           Measured{BPF_MAP_TYPE_HASH, 8, 8, 1024, 0, 82960},
           Measured{BPF_MAP_TYPE_HASH, 4, 32, 1024, 0, 107584},
           Measured{BPF_MAP_TYPE_HASH, 8, 8, 2, BPF_F_NO_PREALLOC, 928},
           Measured{BPF_MAP_TYPE_PERCPU_HASH, 8, 8, 1024, 0, 99200},
           Measured{BPF_MAP_TYPE_LRU_HASH, 16, 72, 131072, 0, 19923840},
           Measured{BPF_MAP_TYPE_LRU_HASH, 8, 8, 1001, BPF_F_NO_COMMON_LRU, 81408},
           Measured{BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, 8, 1000, 0, 97280},
           Measured{BPF_MAP_TYPE_LPM_TRIE, 8, 4, 1000, BPF_F_NO_PREALLOC, 0},
           Measured{BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, 16728},
           Measured{BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 20, 0, 1065288},
           Measured{BPF_MAP_TYPE_QUEUE, 0, 8, 10, 0, 400},
       }) {
    EXPECT_EQ(MapBytes(map.type, map.key, map.value, map.entries, map.flags, kTwoCpus), map.bytes)
        << "type " << map.type << " entries " << map.entries;
  }
}

TEST(MapBytes, CountsUsedEntriesWherePagesAreNotTakenInAdvance) {
  EXPECT_EQ(MapBytes(BPF_MAP_TYPE_LPM_TRIE, 20, 4, 1000, BPF_F_NO_PREALLOC, kTwoCpus, 2), 88u);
  EXPECT_EQ(MapBytes(BPF_MAP_TYPE_HASH, 8, 8, 1, BPF_F_NO_PREALLOC, kTwoCpus, 1), 984u);
  EXPECT_EQ(MapBytes(BPF_MAP_TYPE_PERCPU_HASH, 8, 8, 10, BPF_F_NO_PREALLOC, kTwoCpus, 1), 1256u);
}

TEST(MapBytes, GrowsWithTheCpusForPerCpuMaps) {
  CostFacts many = kTwoCpus;
  many.possible_cpus = 128;
  uint64_t two = MapBytes(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 60, 0, kTwoCpus);
  uint64_t all = MapBytes(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 60, 0, many);
  EXPECT_EQ(all - two, 126u * 16 * 60);
  EXPECT_EQ(MapBytes(BPF_MAP_TYPE_LRU_HASH, 4, 4, 64, 0, kTwoCpus),
            MapBytes(BPF_MAP_TYPE_LRU_HASH, 4, 4, 64, 0, many));
}

}  // namespace
}  // namespace bonsai::plan
