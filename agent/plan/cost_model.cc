// SPDX-License-Identifier: Apache-2.0
// The rules are those of the kernel's map_mem_usage functions as of 6.18 (unchanged since they came
// in 6.4): kernel/bpf/hashtab.c, arraymap.c, lpm_trie.c, ringbuf.c, queue_stack_maps.c.
#include <linux/bpf.h>

#include <algorithm>
#include <bit>

#include "agent/plan/load_plan.h"

namespace bonsai::plan {
namespace {

constexpr uint64_t kPointer = 8;

uint64_t RoundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

struct Shape {
  uint32_t type = 0;
  uint64_t key = 0, value = 0, entries = 0;
  uint32_t flags = 0;
};

uint64_t ArrayBytes(const Shape& map, const CostFacts& facts) {
  uint64_t element = RoundUp(map.value, 8), head = facts.costs.array_head;
  if (map.type == BPF_MAP_TYPE_PERCPU_ARRAY) {
    return head + map.entries * (kPointer + element * facts.possible_cpus);
  }
  if ((map.flags & BPF_F_MMAPABLE) != 0) {
    return RoundUp(head, facts.page_size) + RoundUp(map.entries * element, facts.page_size);
  }
  return head + map.entries * element;
}

uint64_t HashBytes(Shape map, const CostFacts& facts, uint64_t used) {
  uint64_t cpus = facts.possible_cpus, value = RoundUp(map.value, 8);
  bool lru = map.type == BPF_MAP_TYPE_LRU_HASH || map.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
  bool per_cpu = map.type == BPF_MAP_TYPE_PERCPU_HASH || map.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
  // A list of free entries for each CPU: as many on each.
  if ((map.flags & BPF_F_NO_COMMON_LRU) != 0) map.entries = RoundUp(map.entries, cpus);
  uint64_t element = facts.costs.hash_element + RoundUp(map.key, 8) + (per_cpu ? kPointer : value);
  uint64_t buckets = std::bit_ceil(std::max<uint64_t>(map.entries, 1));
  uint64_t bytes = facts.costs.hash_head + facts.costs.hash_bucket * buckets;
  if ((map.flags & BPF_F_NO_PREALLOC) != 0) {
    uint64_t each = element + kPointer + (per_cpu ? 2 * kPointer + value * cpus : 0);
    return bytes + each * used;
  }
  // One spare entry a CPU, so that an update needs no allocation.
  bool spares = !lru && !per_cpu && map.type != BPF_MAP_TYPE_HASH_OF_MAPS;
  uint64_t entries = map.entries + (spares ? cpus : 0);
  bytes += element * entries;
  if (per_cpu) return bytes + value * cpus * entries;
  return lru ? bytes : bytes + kPointer * cpus;
}

// A data area that is mapped twice in a row, so that a record never wraps.
uint64_t RingBufferBytes(const Shape& map, const CostFacts& facts) {
  constexpr uint64_t kMetaPages = 3;
  uint64_t data_pages = map.entries / facts.page_size;
  return facts.costs.ring_buffer_head + (kMetaPages + data_pages) * facts.page_size +
         (kMetaPages + 2 * data_pages) * kPointer;
}

}  // namespace

uint64_t MapBytes(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max_entries,
                  uint32_t map_flags, const CostFacts& facts, uint64_t entries_used) {
  Shape map{type, key_size, value_size, max_entries, map_flags};
  switch (type) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
    case BPF_MAP_TYPE_HASH_OF_MAPS:
      return HashBytes(map, facts, entries_used);
    case BPF_MAP_TYPE_LPM_TRIE:
      // The key's first four bytes, the prefix length, stand in the node itself.
      return (facts.costs.trie_node + key_size - 4 + value_size) * entries_used;
    case BPF_MAP_TYPE_RINGBUF:
    case BPF_MAP_TYPE_USER_RINGBUF:
      return RingBufferBytes(map, facts);
    case BPF_MAP_TYPE_QUEUE:
    case BPF_MAP_TYPE_STACK:
      return facts.costs.queue_head + (map.entries + 1) * value_size;
    default:
      // Arrays of values, programs, maps, events, cgroups; the arrays of devices, CPUs and sockets
      // differ from them by less than a hundred bytes.
      return ArrayBytes(map, facts);
  }
}

}  // namespace bonsai::plan
