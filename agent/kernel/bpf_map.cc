// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/bpf_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/fdinfo.h"

namespace bonsai::kernel {
namespace {

constexpr size_t kBatch = 1024;

bool IsPerCpu(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

// The kernel's ENOTSUPP (524) has no name in user space.
constexpr int kEnotsupp = 524;
bool NoBatches(int error) {
  return error == kEnotsupp || error == EOPNOTSUPP || error == EINVAL;
}

absl::StatusOr<MapInfo> ReadInfo(int fd) {
  bpf_map_info raw = {};
  uint32_t length = sizeof(raw);
  if (bpf_map_get_info_by_fd(fd, &raw, &length) != 0) {
    return base::ErrnoStatus(errno, "reading what the kernel says of a map");
  }
  return MapInfo{.id = raw.id,
                 .type = raw.type,
                 .key_size = raw.key_size,
                 .value_size = raw.value_size,
                 .max_entries = raw.max_entries,
                 .map_flags = raw.map_flags,
                 .name = raw.name};
}

std::string CreateHint(int error) {
  if (error == ENOMEM) return " (the node or the agent's cgroup is short of memory)";
  if (error == EPERM) return " (the agent needs CAP_BPF)";
  if (error == E2BIG) return " (too large; lower its max_entries)";
  return "";
}

}  // namespace

absl::StatusOr<uint32_t> PossibleCpus() {
  int cpus = libbpf_num_possible_cpus();
  if (cpus < 1) return base::ErrnoStatus(-cpus, "reading /sys/devices/system/cpu/possible");
  return static_cast<uint32_t>(cpus);
}

std::string MapTypeName(uint32_t type) {
  const char* name = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
  return name != nullptr ? name : fmt::format("type {}", type);
}

BpfMap::BpfMap(base::UniqueFd fd, MapInfo info) : fd_(std::move(fd)), info_(std::move(info)) {}

absl::StatusOr<BpfMap> BpfMap::Create(const MapAttributes& attributes, int inner_map_fd) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = attributes.map_flags);
  if (inner_map_fd >= 0) options.inner_map_fd = static_cast<uint32_t>(inner_map_fd);
  base::UniqueFd fd(bpf_map_create(static_cast<bpf_map_type>(attributes.type),
                                   attributes.name.c_str(), attributes.key_size,
                                   attributes.value_size, attributes.max_entries, &options));
  if (!fd.valid()) {
    int error = errno;
    return base::ErrnoStatus(
        error, fmt::format("creating map {} ({}, {} entries){}", attributes.name,
                           MapTypeName(attributes.type), attributes.max_entries,
                           CreateHint(error)));
  }
  return FromFd(std::move(fd));
}

absl::StatusOr<BpfMap> BpfMap::FromFd(base::UniqueFd fd) {
  ASSIGN_OR_RETURN(MapInfo info, ReadInfo(fd.get()));
  BpfMap map(std::move(fd), std::move(info));
  map.value_bytes_ = map.info_.value_size;
  if (map.per_cpu()) {
    ASSIGN_OR_RETURN(uint32_t cpus, PossibleCpus());
    map.value_bytes_ = (map.value_bytes_ + 7) / 8 * 8 * cpus;
  }
  return map;
}

absl::StatusOr<BpfMap> BpfMap::Borrow(int fd) {
  base::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return base::ErrnoStatus(errno, "duplicating a map's descriptor");
  return FromFd(std::move(copy));
}

absl::StatusOr<BpfMap> BpfMap::OpenPinned(const std::string& path) {
  base::UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return base::ErrnoStatus(errno, "opening pinned map " + path);
  if (!FdInfoNumber(fd.get(), "map_id").ok()) {
    return base::FailedPrecondition("opening pinned map {}: not a map", path);
  }
  auto map = FromFd(std::move(fd));
  if (!map.ok()) return base::Annotate(map.status(), "opening pinned map " + path);
  return map;
}

absl::StatusOr<BpfMap> BpfMap::OpenById(uint32_t id) {
  base::UniqueFd fd(bpf_map_get_fd_by_id(id));
  if (!fd.valid()) return base::ErrnoStatus(errno, fmt::format("opening map id {}", id));
  return FromFd(std::move(fd));
}

absl::StatusOr<BpfMap> BpfMap::Duplicate() const { return Borrow(fd()); }

bool BpfMap::per_cpu() const { return IsPerCpu(info_.type); }

std::string BpfMap::Describe() const { return fmt::format("map {} (id {})", info_.name, info_.id); }

absl::StatusOr<uint64_t> BpfMap::MemoryBytes() const {
  auto bytes = FdInfoNumber(fd(), "memlock");
  if (!bytes.ok()) return base::Annotate(bytes.status(), "measuring " + Describe());
  return bytes;
}

absl::Status BpfMap::Lookup(const void* key, void* value) const {
  if (bpf_map_lookup_elem(fd(), key, value) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "looking up a key in " + Describe());
}

absl::Status BpfMap::Update(const void* key, const void* value, UpdateMode mode) const {
  if (bpf_map_update_elem(fd(), key, value, static_cast<uint64_t>(mode)) == 0) {
    return absl::OkStatus();
  }
  int error = errno;
  std::string what = "writing to " + Describe();
  if (error == E2BIG || error == ENOSPC) {
    return absl::ResourceExhaustedError(
        fmt::format("{}: full with {} entries; raise its size", what, info_.max_entries));
  }
  return base::ErrnoStatus(error, what);
}

absl::Status BpfMap::Delete(const void* key) const {
  if (bpf_map_delete_elem(fd(), key) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "deleting from " + Describe());
}

absl::StatusOr<bool> BpfMap::NextKey(const void* key, void* next) const {
  if (bpf_map_get_next_key(fd(), key, next) == 0) return true;
  if (errno == ENOENT) return false;
  return base::ErrnoStatus(errno, "walking " + Describe());
}

absl::Status BpfMap::UpdateMany(const void* keys, const void* values, size_t count) const {
  const auto* key = static_cast<const uint8_t*>(keys);
  const auto* value = static_cast<const uint8_t*>(values);
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  size_t done = 0;
  while (done < count) {
    uint32_t now = static_cast<uint32_t>(std::min(kBatch, count - done));
    if (bpf_map_update_batch(fd(), key + done * info_.key_size, value + done * value_bytes_, &now,
                             &options) != 0) {
      break;  // the single writes below repeat the rest and name the error
    }
    done += now;
  }
  for (; done < count; ++done) {
    RETURN_IF_ERROR(Update(key + done * info_.key_size, value + done * value_bytes_));
  }
  return absl::OkStatus();
}

absl::Status BpfMap::DeleteMany(const void* keys, size_t count) const {
  const auto* key = static_cast<const uint8_t*>(keys);
  for (size_t i = 0; i < count; ++i) {
    absl::Status status = Delete(key + i * info_.key_size);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return absl::OkStatus();
}

absl::Status BpfMap::ForEach(const Visitor& visit) const {
  // The kernel's batch cursor is 4 bytes for hashes and a key for the rest.
  std::vector<uint8_t> in(std::max<size_t>(info_.key_size, 8)), out(in.size());
  size_t capacity = std::max<size_t>(1, std::min<size_t>(info_.max_entries, kBatch));
  bool first = true;
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  while (true) {
    std::vector<uint8_t> keys(capacity * info_.key_size), values(capacity * value_bytes_);
    uint32_t count = static_cast<uint32_t>(capacity);
    int result = bpf_map_lookup_batch(fd(), first ? nullptr : in.data(), out.data(), keys.data(),
                                      values.data(), &count, &options);
    int error = result == 0 ? 0 : errno;
    if (error == ENOSPC) {  // a bucket with more entries than the buffers hold
      capacity *= 2;
      continue;
    }
    if (first && NoBatches(error)) return ForEachSingly(visit);
    if (error != 0 && error != ENOENT) return base::ErrnoStatus(error, "walking " + Describe());
    for (uint32_t i = 0; i < count; ++i) {
      if (!visit({keys.data() + i * info_.key_size, info_.key_size},
                 {values.data() + i * value_bytes_, value_bytes_})) {
        return absl::OkStatus();
      }
    }
    if (error == ENOENT) return absl::OkStatus();
    in = out;
    first = false;
  }
}

absl::Status BpfMap::ForEachSingly(const Visitor& visit) const {
  std::vector<uint8_t> key(info_.key_size), next(info_.key_size), value(value_bytes_);
  ASSIGN_OR_RETURN(bool more, NextKey(nullptr, next.data()));
  // A key deleted under the walk makes the kernel start over; the bound keeps that finite.
  uint64_t bound = 2ull * info_.max_entries + 1;
  while (more && bound-- > 0) {
    key = next;
    absl::Status status = Lookup(key.data(), value.data());
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    if (status.ok() && !visit(key, value)) return absl::OkStatus();
    ASSIGN_OR_RETURN(more, NextKey(key.data(), next.data()));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> BpfMap::CountEntries() const {
  uint64_t count = 0;
  RETURN_IF_ERROR(ForEach([&](auto, auto) {
    ++count;
    return true;
  }));
  return count;
}

absl::Status BpfMap::Freeze() const {
  if (bpf_map_freeze(fd()) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "freezing " + Describe());
}

absl::Status BpfMap::Pin(const std::string& path) const {
  if (bpf_obj_pin(fd(), path.c_str()) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, fmt::format("pinning {} at {}", Describe(), path));
}

}  // namespace bonsai::kernel
