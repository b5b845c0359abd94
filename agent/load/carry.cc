// SPDX-License-Identifier: Apache-2.0
#include "agent/load/carry.h"

#include <linux/bpf.h>

#include <cstring>
#include <vector>

#include "agent/base/status.h"

namespace bonsai::load {
namespace {

constexpr size_t kBatch = 1024;

bool IsLru(uint32_t type) {
  return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

// Entries that wait to be written together.
class Batch {
 public:
  explicit Batch(const kernel::BpfMap& to) : to_(to) {}

  absl::Status Add(std::span<const uint8_t> key, std::span<const uint8_t> value) {
    keys_.insert(keys_.end(), key.begin(), key.end());
    values_.insert(values_.end(), value.begin(), value.end());
    ++total_;
    return ++count_ == kBatch ? Flush() : absl::OkStatus();
  }

  absl::Status Flush() {
    RETURN_IF_ERROR(to_.UpdateMany(keys_.data(), values_.data(), count_));
    keys_.clear();
    values_.clear();
    count_ = 0;
    return absl::OkStatus();
  }

  uint64_t total() const { return total_; }

 private:
  const kernel::BpfMap& to_;
  std::vector<uint8_t> keys_, values_;
  size_t count_ = 0;
  uint64_t total_ = 0;
};

// An LRU map makes room without a word.
absl::Status CheckKept(const kernel::BpfMap& to, uint64_t copied) {
  ASSIGN_OR_RETURN(const uint64_t kept, to.CountEntries());
  if (kept >= copied) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("it kept {} of {} entries; raise its size", kept, copied));
}

// Whether `to` is an array that ends before this element.
bool IsBeyond(const kernel::BpfMap& to, std::span<const uint8_t> key) {
  if (!IsArray(to.info().type)) return false;
  uint32_t index = 0;
  std::memcpy(&index, key.data(), sizeof(index));
  return index >= to.info().max_entries;
}

// `convert`: null to copy as it is.
absl::StatusOr<uint64_t> Carry(const kernel::BpfMap& from, const Convert& convert,
                               const kernel::BpfMap& to) {
  Batch batch(to);
  absl::Status status = absl::OkStatus();
  RETURN_IF_ERROR(from.ForEach([&](auto key, auto value) {
    if (convert != nullptr) {
      if (const auto made = convert(key, value)) status = batch.Add(made->first, made->second);
    } else if (!IsBeyond(to, key)) {
      status = batch.Add(key, value);
    }
    return status.ok();
  }));
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(batch.Flush());
  if (IsLru(to.info().type)) RETURN_IF_ERROR(CheckKept(to, batch.total()));
  return batch.total();
}

}  // namespace

bool IsArray(uint32_t type) {
  return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

bool CanCarry(uint32_t map_type) {
  switch (map_type) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
    case BPF_MAP_TYPE_LPM_TRIE:
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<uint64_t> CarryEntries(const kernel::BpfMap& from, const kernel::BpfMap& to) {
  return ConvertEntries(from, nullptr, to);
}

absl::StatusOr<uint64_t> ConvertEntries(const kernel::BpfMap& from, const Convert& convert,
                                        const kernel::BpfMap& to) {
  absl::StatusOr<uint64_t> carried = Carry(from, convert, to);
  if (carried.ok()) return carried;
  return base::Annotate(carried.status(),
                        fmt::format("copying map {} from {} to {} entries", to.info().name,
                                    from.info().max_entries, to.info().max_entries));
}

}  // namespace bonsai::load
