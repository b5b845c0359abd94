// SPDX-License-Identifier: Apache-2.0
// One eBPF map: an owned fd and what the kernel says of it. Errors name the map and its id.
// Look-ups and writes of one BpfMap may come from several threads; the object itself is not moved
// meanwhile.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"

namespace bonsai::kernel {

struct MapInfo {
  uint32_t id = 0;
  uint32_t type = 0;        // BPF_MAP_TYPE_*
  uint32_t key_size = 0;    // bytes
  uint32_t value_size = 0;  // bytes, of one CPU
  uint32_t max_entries = 0;
  uint32_t map_flags = 0;   // BPF_F_*
  std::string name;         // at most 15 characters
};

// What BpfMap::Create makes; id is ignored. The kernel refuses names with other characters than
// letters, digits, '_' and '.'.
using MapAttributes = MapInfo;

enum class UpdateMode : uint64_t { kAny = 0, kOnlyNew = 1, kOnlyExisting = 2 };

class BpfMap {
 public:
  static absl::StatusOr<BpfMap> Create(const MapAttributes& attributes, int inner_map_fd = -1);
  static absl::StatusOr<BpfMap> FromFd(base::UniqueFd fd);
  // A second owner of the same kernel map; `fd` stays the caller's.
  static absl::StatusOr<BpfMap> Borrow(int fd);
  static absl::StatusOr<BpfMap> OpenPinned(const std::string& path);
  // Needs CAP_SYS_ADMIN. NotFound when no map has that id.
  static absl::StatusOr<BpfMap> OpenById(uint32_t id);
  absl::StatusOr<BpfMap> Duplicate() const;

  int fd() const { return fd_.get(); }
  const MapInfo& info() const { return info_; }
  bool per_cpu() const;
  // Bytes of a value as look-ups and updates move it: for per-CPU maps one value, rounded up to 8
  // bytes, for each possible CPU.
  size_t ValueBytes() const { return value_bytes_; }
  // Kernel memory as fdinfo's memlock says, in bytes (see Features::map_mem_usage).
  absl::StatusOr<uint64_t> MemoryBytes() const;

  // `key` has info().key_size bytes, `value` ValueBytes().
  absl::Status Lookup(const void* key, void* value) const;  // NotFound: no such key
  absl::Status Update(const void* key, const void* value, UpdateMode mode = UpdateMode::kAny) const;
  absl::Status Delete(const void* key) const;  // NotFound: no such key
  // The key after `key` (nullptr: the first). False: there is none.
  absl::StatusOr<bool> NextKey(const void* key, void* next) const;

  // Entries one after the other, `count` of them. One system call each batch where the kernel has
  // batches for this map type, else one an entry. Not atomic: an error leaves the first ones done.
  absl::Status UpdateMany(const void* keys, const void* values, size_t count) const;
  // Absent keys are no error.
  absl::Status DeleteMany(const void* keys, size_t count) const;
  // Calls `visit` for each entry until it returns false. Entries that come or go meanwhile may be
  // seen or not. `visit` must not write to the map.
  using Visitor =
      std::function<bool(std::span<const uint8_t> key, std::span<const uint8_t> value)>;
  absl::Status ForEach(const Visitor& visit) const;
  absl::StatusOr<uint64_t> CountEntries() const;

  absl::Status Freeze() const;
  absl::Status Pin(const std::string& path) const;

 private:
  BpfMap(base::UniqueFd fd, MapInfo info);
  absl::Status ForEachSingly(const Visitor& visit) const;
  std::string Describe() const;  // "map ct4 (id 17)"

  base::UniqueFd fd_;
  MapInfo info_;
  size_t value_bytes_ = 0;
};

// CPUs that may ever come up: slots of a per-CPU value.
absl::StatusOr<uint32_t> PossibleCpus();

// "hash", "lru_hash", ...; "type 99" for one libbpf does not know.
std::string MapTypeName(uint32_t type);

}  // namespace bonsai::kernel
