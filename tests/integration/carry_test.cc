// SPDX-License-Identifier: Apache-2.0
// Every kind of map the datapath has, and per-CPU ones, taken to another size on the kernel.
#include "agent/load/carry.h"

#include <gmock/gmock.h>
#include <linux/bpf.h>

#include <atomic>
#include <thread>

#include "agent/base/status.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

kernel::BpfMap Make(uint32_t type, uint32_t entries) {
  auto map = kernel::BpfMap::Create({.type = type,
                                     .key_size = type == BPF_MAP_TYPE_LPM_TRIE ? 8u : 4u,
                                     .value_size = 8,
                                     .max_entries = entries,
                                     .map_flags = type == BPF_MAP_TYPE_LPM_TRIE
                                                      ? uint32_t{BPF_F_NO_PREALLOC} : 0u,
                                     .name = "bonsai_carry"});
  EXPECT_TRUE(map.ok()) << map.status();
  return *std::move(map);
}

// The value of entry `i`, other on each CPU.
std::vector<uint64_t> Value(const kernel::BpfMap& map, uint64_t i) {
  std::vector<uint64_t> value(map.ValueBytes() / 8);
  for (size_t cpu = 0; cpu < value.size(); ++cpu) value[cpu] = i * 1000 + cpu;
  return value;
}

std::vector<uint32_t> Key(const kernel::BpfMap& map, uint32_t i) {
  if (map.info().type == BPF_MAP_TYPE_LPM_TRIE) return {32, i};
  return {i};
}

class Carry : public ::testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override { REQUIRE_ROOT(); }
  bool is_array() const {
    return GetParam() == BPF_MAP_TYPE_ARRAY || GetParam() == BPF_MAP_TYPE_PERCPU_ARRAY;
  }
};
INSTANTIATE_TEST_SUITE_P(
    Type, Carry,
    ::testing::Values(BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_HASH,
                      BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_MAP_TYPE_LPM_TRIE, BPF_MAP_TYPE_ARRAY,
                      BPF_MAP_TYPE_PERCPU_ARRAY),
    [](const auto& info) { return kernel::MapTypeName(info.param); });

TEST_P(Carry, KeepsEveryEntryAndTheValuesOfEachCpu) {
  constexpr uint32_t kEntries = 3000;  // more than a batch
  kernel::BpfMap from = Make(GetParam(), is_array() ? kEntries : 8192);
  for (uint32_t i = 0; i < kEntries; ++i) {
    ASSERT_OK(from.Update(Key(from, i).data(), Value(from, i).data()));
  }
  for (uint32_t size : {4096u, 20000u}) {
    kernel::BpfMap to = Make(GetParam(), size);
    auto carried = load::CarryEntries(from, to);
    ASSERT_OK(carried);
    EXPECT_EQ(*carried, kEntries);
    for (uint32_t i = 0; i < kEntries; ++i) {
      std::vector<uint64_t> value(to.ValueBytes() / 8);
      ASSERT_OK(to.Lookup(Key(to, i).data(), value.data()));
      ASSERT_EQ(value, Value(to, i)) << i;
    }
  }
}

TEST_P(Carry, SaysSoWhenTheNewMapDoesNotKeepThemAll) {
  kernel::BpfMap from = Make(GetParam(), 4096);
  for (uint32_t i = 0; i < 3000; ++i) {
    ASSERT_OK(from.Update(Key(from, i).data(), Value(from, i).data()));
  }
  kernel::BpfMap to = Make(GetParam(), 1000);
  auto carried = load::CarryEntries(from, to);
  if (is_array()) {
    ASSERT_OK(carried);
    EXPECT_EQ(*carried, 1000u) << "an array's elements have their places";
    return;
  }
  ASSERT_TRUE(absl::IsResourceExhausted(carried.status())) << carried.status();
  EXPECT_THAT(base::Message(carried.status()), AllOf(HasSubstr("4096"), HasSubstr("1000")));
}

TEST_P(Carry, HasWhatWasThereBeforeWhileAnotherThreadWrites) {
  constexpr uint32_t kEntries = 2000;
  kernel::BpfMap from = Make(GetParam(), 16384);
  for (uint32_t i = 0; i < kEntries; ++i) {
    ASSERT_OK(from.Update(Key(from, i).data(), Value(from, i).data()));
  }
  std::atomic<bool> failed = false;
  std::jthread writer([&](std::stop_token stop) {
    for (uint32_t n = 0; !stop.stop_requested(); ++n) {
      const uint32_t i = 2000 + n % 4000;
      failed = failed || !from.Update(Key(from, i).data(), Value(from, i).data()).ok();
      if (!is_array() && n % 3 == 0) from.Delete(Key(from, i).data()).IgnoreError();
    }
  });
  for (int round = 0; round < 10; ++round) {
    kernel::BpfMap to = Make(GetParam(), 32768);
    auto carried = load::CarryEntries(from, to);
    ASSERT_OK(carried);
    EXPECT_GE(*carried, kEntries);
    for (uint32_t i = 0; i < kEntries; ++i) {
      std::vector<uint64_t> value(to.ValueBytes() / 8);
      ASSERT_OK(to.Lookup(Key(to, i).data(), value.data()));
      ASSERT_EQ(value, Value(to, i)) << i;
    }
  }
  EXPECT_FALSE(failed);
}

TEST(CanCarry, IsAboutMapsWithKeysAndValuesOfTheirOwn) {
  EXPECT_TRUE(load::CanCarry(BPF_MAP_TYPE_LRU_HASH));
  EXPECT_FALSE(load::CanCarry(BPF_MAP_TYPE_RINGBUF));
  EXPECT_FALSE(load::CanCarry(BPF_MAP_TYPE_PROG_ARRAY));
}

}  // namespace
}  // namespace bonsai::testing
