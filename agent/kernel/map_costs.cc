// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/map_costs.h"

#include <linux/bpf.h>
#include <unistd.h>

#include <cstring>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"

namespace bonsai::kernel {
namespace {

constexpr uint32_t kPointer = sizeof(void*);

struct Sizes {
  uint64_t empty = 0;
  uint64_t with_one = 0;
};

// Memory of a map when empty and with one entry (an all-zero key; a trie's has prefix length 0).
absl::StatusOr<Sizes> Measure(uint32_t type, uint32_t key, uint32_t value, uint32_t entries,
                              uint32_t flags) {
  ASSIGN_OR_RETURN(BpfMap map, BpfMap::Create({.type = type,
                                               .key_size = key,
                                               .value_size = value,
                                               .max_entries = entries,
                                               .map_flags = flags,
                                               .name = "bonsai_probe"}));
  Sizes sizes;
  ASSIGN_OR_RETURN(sizes.empty, map.MemoryBytes());
  if (key == 0) return sizes;
  const uint8_t zeros[16] = {};
  RETURN_IF_ERROR(map.Update(zeros, zeros));
  ASSIGN_OR_RETURN(sizes.with_one, map.MemoryBytes());
  return sizes;
}

}  // namespace

absl::StatusOr<MapCosts> MeasureMapCosts() {
  MapCosts costs;
  uint32_t page = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  ASSIGN_OR_RETURN(Sizes array, Measure(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0));
  if (array.empty % page == 0) {
    return base::FailedPrecondition(
        "measuring map costs: this kernel only estimates the memory of maps (exact since 6.4)");
  }
  costs.array_head = static_cast<uint32_t>(array.empty - 8);
  ASSIGN_OR_RETURN(Sizes one, Measure(BPF_MAP_TYPE_HASH, 8, 8, 1, BPF_F_NO_PREALLOC));
  ASSIGN_OR_RETURN(Sizes two, Measure(BPF_MAP_TYPE_HASH, 8, 8, 2, BPF_F_NO_PREALLOC));
  costs.hash_bucket = static_cast<uint32_t>(two.empty - one.empty);
  costs.hash_head = static_cast<uint32_t>(one.empty - costs.hash_bucket);
  costs.hash_element = static_cast<uint32_t>(one.with_one - one.empty - 16 - kPointer);
  ASSIGN_OR_RETURN(Sizes trie, Measure(BPF_MAP_TYPE_LPM_TRIE, 8, 4, 2, BPF_F_NO_PREALLOC));
  costs.trie_node = static_cast<uint32_t>(trie.with_one - trie.empty - 8);
  ASSIGN_OR_RETURN(Sizes ring, Measure(BPF_MAP_TYPE_RINGBUF, 0, 0, page, 0));
  costs.ring_buffer_head = static_cast<uint32_t>(ring.empty - 4ull * page - 5 * kPointer);
  ASSIGN_OR_RETURN(Sizes queue, Measure(BPF_MAP_TYPE_QUEUE, 0, 8, 1, 0));
  costs.queue_head = static_cast<uint32_t>(queue.empty - 16);
  return costs;
}

}  // namespace bonsai::kernel
