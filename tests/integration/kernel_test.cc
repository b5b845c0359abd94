// SPDX-License-Identifier: Apache-2.0
// kernel/ on the kernel: maps, programs, pins, probes.
#include <linux/bpf.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "agent/base/status.h"
#include "agent/kernel/bpf_object.h"
#include "agent/kernel/bpf_program.h"
#include "agent/kernel/bpf_ring_buffer.h"
#include "agent/kernel/bpffs.h"
#include "agent/kernel/features.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

using kernel::BpfMap;

TEST(Features, AreThoseOfThisKernel) {
  REQUIRE_ROOT();
  auto features = kernel::Probe();
  ASSERT_OK(features);
  auto at_least = [&](uint32_t major, uint32_t minor) {
    return std::pair(features->major, features->minor) >= std::pair(major, minor);
  };
  EXPECT_EQ(features->tcx, at_least(6, 6));
  EXPECT_EQ(features->map_mem_usage, at_least(6, 4));
  EXPECT_TRUE(features->jit);
  EXPECT_TRUE(features->xdp);
  EXPECT_TRUE(features->syscall_programs);
  EXPECT_TRUE(features->missing_map_types.empty());
}

TEST(JiffiesClock, AdvancesWithTime) {
  REQUIRE_ROOT();
  auto clock = kernel::JiffiesClock::Make();
  ASSERT_OK(clock);
  auto first = clock->Now();
  ASSERT_OK(first);
  EXPECT_GT(*first, 0xff000000u) << "jiffies64 starts at minus five minutes, as a 32-bit number";
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  uint64_t passed = *clock->Now() - *first;
  EXPECT_GE(passed, 19u);    // HZ = 100
  EXPECT_LE(passed, 2000u);  // HZ = 1000, a busy machine
}

TEST(BpfMap, WritesReadsAndWalksManyEntries) {
  REQUIRE_ROOT();
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_HASH,
                        BPF_MAP_TYPE_LPM_TRIE, BPF_MAP_TYPE_ARRAY}) {
    SCOPED_TRACE(kernel::MapTypeName(type));
    bool trie = type == BPF_MAP_TYPE_LPM_TRIE;
    constexpr uint32_t kCount = 3000;
    auto map = BpfMap::Create({.type = type, .key_size = trie ? 8u : 4u, .value_size = 12,
                               .max_entries = type == BPF_MAP_TYPE_ARRAY ? kCount : 2 * kCount,
                               .map_flags = trie ? 1u * BPF_F_NO_PREALLOC : 0u, .name = "many"});
    ASSERT_OK(map);
    std::vector<uint8_t> keys(kCount * map->info().key_size), values(kCount * map->ValueBytes());
    for (uint32_t i = 0; i < kCount; ++i) {
      uint8_t* key = keys.data() + i * map->info().key_size;
      uint32_t prefix = 32;
      if (trie) memcpy(key, &prefix, 4);
      memcpy(trie ? key + 4 : key, &i, 4);
      memcpy(values.data() + i * map->ValueBytes(), &i, 4);
    }
    ASSERT_OK(map->UpdateMany(keys.data(), values.data(), kCount));
    std::set<uint32_t> seen;
    ASSERT_OK(map->ForEach([&](std::span<const uint8_t> key, std::span<const uint8_t> value) {
      uint32_t number = 0, copy = 0;
      memcpy(&number, key.data() + (trie ? 4 : 0), 4);
      memcpy(&copy, value.data(), 4);
      EXPECT_EQ(number, copy);
      seen.insert(number);
      return true;
    }));
    EXPECT_EQ(seen.size(), kCount);
    EXPECT_EQ(*map->CountEntries(), kCount);
    if (type == BPF_MAP_TYPE_ARRAY) continue;
    ASSERT_OK(map->DeleteMany(keys.data(), kCount));
    ASSERT_OK(map->DeleteMany(keys.data(), 10)) << "absent keys are no error";
    EXPECT_EQ(*map->CountEntries(), 0u);
  }
}

TEST(BpfMap, ReadsEachCpusValue) {
  REQUIRE_ROOT();
  auto map = BpfMap::Create({.type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 12,
                             .max_entries = 2, .name = "per_cpu"});
  ASSERT_OK(map);
  EXPECT_EQ(map->ValueBytes(), 16u * *kernel::PossibleCpus());
  std::vector<uint8_t> written(map->ValueBytes()), read(map->ValueBytes());
  for (size_t i = 0; i < written.size(); i += 16) written[i] = static_cast<uint8_t>(i + 1);
  uint32_t key = 1;
  ASSERT_OK(map->Update(&key, written.data()));
  ASSERT_OK(map->Lookup(&key, read.data()));
  EXPECT_EQ(read, written);
}

TEST(BpfMap, SaysWhatIsWrong) {
  REQUIRE_ROOT();
  auto map = BpfMap::Create({.type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4,
                             .max_entries = 2, .name = "tiny"});
  ASSERT_OK(map);
  uint32_t value = 0;
  for (uint32_t key : {1u, 2u}) ASSERT_OK(map->Update(&key, &value));
  uint32_t third = 3;
  absl::Status full = map->Update(&third, &value);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_NE(base::Message(full).find("map tiny"), std::string::npos) << full;
  EXPECT_TRUE(absl::IsNotFound(map->Lookup(&third, &value)));
  EXPECT_TRUE(absl::IsNotFound(map->Delete(&third)));
  auto refused = BpfMap::Create({.type = BPF_MAP_TYPE_HASH, .key_size = 0, .value_size = 4,
                                 .max_entries = 2, .name = "keyless"});
  EXPECT_NE(base::Message(refused.status()).find("map keyless"), std::string::npos);
  EXPECT_TRUE(absl::IsNotFound(BpfMap::OpenById(0x7fffffff).status()));
}

TEST(RingBuffer, HandsOverRecords) {
  REQUIRE_ROOT();
  auto map = BpfMap::Create({.type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096, .name = "ring"});
  ASSERT_OK(map);
  // A syscall program that writes eight bytes of its context into the ring.
  int fd = map->fd();
  const kernel::RawInsn code[] = {
      {BPF_LDX | BPF_MEM | BPF_DW, 3 | 1 << 4, 0, 0},
      {BPF_STX | BPF_MEM | BPF_DW, 10 | 3 << 4, -8, 0},
      {BPF_ALU64 | BPF_MOV | BPF_X, 2 | 10 << 4, 0, 0},
      {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, -8},                               // r2 = its copy
      {BPF_LD | BPF_DW | BPF_IMM, 1 | BPF_PSEUDO_MAP_FD << 4, 0, fd},        // r1 = ring
      {0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 8},
      {BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0},
      {BPF_JMP | BPF_CALL, 0, 0, BPF_FUNC_ringbuf_output},
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0},
  };
  auto program = kernel::LoadRaw(BPF_PROG_TYPE_SYSCALL, "to_ring", code, BPF_F_SLEEPABLE);
  ASSERT_OK(program);
  std::vector<uint64_t> records;
  auto ring = kernel::RingBuffer::Make(map->fd(), [&](std::span<const uint8_t> record) {
    ASSERT_EQ(record.size(), 8u);
    uint64_t number = 0;
    memcpy(&number, record.data(), 8);
    records.push_back(number);
  });
  ASSERT_OK(ring);
  pollfd poll_fd{.fd = ring->epoll_fd(), .events = POLLIN};
  EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
  for (uint64_t n = 1; n <= 3; ++n) {
    std::vector<uint8_t> context(8);
    memcpy(context.data(), &n, 8);
    ASSERT_OK(kernel::RunProgram(program->get(), {}, context));
  }
  EXPECT_EQ(poll(&poll_fd, 1, 1000), 1);
  EXPECT_EQ(ring->Pending(), 48u);
  auto consumed = ring->Consume();
  ASSERT_OK(consumed);
  EXPECT_EQ(*consumed, 3u);
  EXPECT_EQ(records, (std::vector<uint64_t>{1, 2, 3}));
}

TEST(Bpffs, MovesAndRemovesPins) {
  REQUIRE_ROOT();
  PinRoot root;
  auto map = BpfMap::Create({.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
                             .max_entries = 1, .name = "pinned"});
  auto other = BpfMap::Create({.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
                               .max_entries = 1, .name = "other"});
  ASSERT_OK(map);
  ASSERT_OK(kernel::MakePinDir(root.path() + "/a/b"));
  EXPECT_TRUE(absl::IsAlreadyExists(kernel::MakeNewPinDir(root.path() + "/a/b")));
  ASSERT_OK(map->Pin(root.path() + "/a/b/x"));
  ASSERT_OK(other->Pin(root.path() + "/a/y"));
  ASSERT_OK(kernel::RenamePin(root.path() + "/a/y", root.path() + "/a/b/x"));
  EXPECT_EQ(BpfMap::OpenPinned(root.path() + "/a/b/x")->info().id, other->info().id);
  EXPECT_TRUE(absl::IsNotFound(BpfMap::OpenPinned(root.path() + "/a/y").status()));
  EXPECT_EQ(*kernel::ListPins(root.path() + "/a"), (std::vector<std::string>{"b"}));
  ASSERT_OK(kernel::RemovePinDir(root.path() + "/a"));
  ASSERT_OK(kernel::RemovePinDir(root.path() + "/a"));
  EXPECT_FALSE(kernel::IsPinDir(root.path() + "/a"));
  EXPECT_TRUE(kernel::ListPins(root.path() + "/a")->empty());
}

TEST(BpfObject, PutsBytesIntoSections) {
  REQUIRE_ROOT();
  auto object = kernel::BpfObject::Open("gen", ObjectPath("generation"));
  ASSERT_OK(object);
  EXPECT_TRUE(absl::IsNotFound(object->SetSectionBytes(".rodata.none", {1})));
  absl::Status wrong = object->SetSectionBytes(".rodata.config", {1});
  EXPECT_TRUE(absl::IsInternal(wrong)) << wrong;
  EXPECT_TRUE(absl::IsNotFound(object->SetAutocreate("nosuch", false)));
  EXPECT_TRUE(absl::IsNotFound(object->SetAutoload("nosuch", false)));
  EXPECT_EQ(object->ProgramFd("entry"), -1) << "not loaded yet";
}

}  // namespace
}  // namespace bonsai::testing
