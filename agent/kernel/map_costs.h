// SPDX-License-Identifier: Apache-2.0
// Sizes of the kernel's own structs that the memory of a map is made of. They differ by version and
// build, so they are measured with a few tiny maps; the defaults are those of 6.18 on x86-64.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>

namespace bonsai::kernel {

struct MapCosts {
  uint32_t array_head = 312;       // struct bpf_array
  uint32_t hash_head = 896;        // struct bpf_htab
  uint32_t hash_bucket = 16;       // struct bucket
  uint32_t hash_element = 48;      // struct htab_elem, without key and value
  uint32_t trie_node = 24;         // struct lpm_trie_node, without data and value
  uint32_t ring_buffer_head = 304; // struct bpf_ringbuf_map
  uint32_t queue_head = 312;       // struct bpf_queue_stack
};

// FailedPrecondition where fdinfo's memlock is no more than an estimate (kernels before 6.4).
absl::StatusOr<MapCosts> MeasureMapCosts();

}  // namespace bonsai::kernel
