// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/conntrack_gc.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "agent/base/status.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

template <typename T>
T Decode(std::span<const uint8_t> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// Same arithmetic as the datapath's, which survives a wrap.
bool Expired(const ct_entry& entry, uint64_t now) {
  return static_cast<int64_t>(entry.expires - now) <= 0;
}

absl::Status CheckLayout(const kernel::BpfMap& map, size_t key_bytes) {
  if (map.info().key_size == key_bytes && map.ValueBytes() == sizeof(ct_entry)) {
    return absl::OkStatus();
  }
  return base::Internal("sweeping map {}: it has keys of {} and values of {} bytes, not {} and {}",
                        map.info().name, map.info().key_size, map.ValueBytes(), key_bytes,
                        sizeof(ct_entry));
}

// Keys of the entries that `wanted(key, entry)` picks.
template <typename Key, typename Predicate>
absl::StatusOr<std::vector<Key>> Select(const kernel::BpfMap& map, Predicate wanted) {
  RETURN_IF_ERROR(CheckLayout(map, sizeof(Key)));
  std::vector<Key> keys;
  RETURN_IF_ERROR(map.ForEach([&](auto key, auto value) {
    if (wanted(Decode<Key>(key), Decode<ct_entry>(value))) keys.push_back(Decode<Key>(key));
    return true;
  }));
  return keys;
}

enum class Fate { kDeleted, kRevived, kGone };

// Deletes `key` if its entry is still expired. The kernel cannot compare and delete in one step;
// the second look keeps the window to the time between two system calls.
template <typename Key>
absl::StatusOr<Fate> DeleteExpired(const kernel::BpfMap& map, const Key& key, uint64_t now) {
  ct_entry entry;
  absl::Status status = map.Lookup(&key, &entry);
  if (status.ok() && !Expired(entry, now)) return Fate::kRevived;
  if (status.ok()) status = map.Delete(&key);
  if (absl::IsNotFound(status)) return Fate::kGone;
  RETURN_IF_ERROR(status);
  return Fate::kDeleted;
}

template <typename Key>
absl::Status Forget(const kernel::BpfMap* map, const Key& key) {
  if (map == nullptr) return absl::OkStatus();
  const absl::Status status = map->Delete(&key);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

template <typename Key>
absl::Status Collect(const kernel::BpfMap& map, const kernel::BpfMap* old, uint8_t family,
                     uint64_t now, GcReport& report) {
  const auto expired = Select<Key>(map, [&](const Key& key, const ct_entry& entry) {
    if (Expired(entry, now)) return true;
    ++report.kinds[{family, key.protocol}].alive;
    return false;
  });
  RETURN_IF_ERROR(expired.status());
  for (const Key& key : *expired) {
    ASSIGN_OR_RETURN(const Fate fate, DeleteExpired(map, key, now));
    ConntrackCounts& counts = report.kinds[{family, key.protocol}];
    counts.deleted += fate == Fate::kDeleted;
    counts.alive += fate == Fate::kRevived;
    // The older entry may not know that its connection has ended.
    if (fate == Fate::kDeleted) RETURN_IF_ERROR(Forget(old, key));
  }
  return absl::OkStatus();
}

template <typename ServiceKey, typename Backend, typename Key>
bool BackendGone(const ServiceLists& lists, const Key& key, const ct_entry& entry) {
  const bool front = entry.flags & CT_NAT_FRONT;
  if (!front && !(entry.flags & CT_NAT_BACK)) return false;
  if (key.protocol == IPPROTO_TCP && entry.flags & CT_ESTABLISHED) return false;

  // The front entry's peer is the service and it holds the backend; the back entry has it reversed.
  ServiceKey service = {};
  Backend backend = {};
  std::memcpy(&service.addr, front ? static_cast<const void*>(&key.peer) : entry.nat_addr,
              sizeof(service.addr));
  service.port = front ? key.peer_port : entry.nat_port;
  service.protocol = key.protocol;
  std::memcpy(&backend.addr, front ? entry.nat_addr : static_cast<const void*>(&key.peer),
              sizeof(backend.addr));
  backend.port = front ? entry.nat_port : key.peer_port;

  const auto list = lists.find(ToBytes(service));
  if (list == lists.end()) return true;
  return !std::ranges::binary_search(list->second, ToBytes(backend));
}

template <typename ServiceKey, typename Backend, typename Key>
absl::StatusOr<uint64_t> Purge(const kernel::BpfMap& map, const kernel::BpfMap* old,
                               const ServiceLists& lists) {
  const auto gone = Select<Key>(map, [&](const Key& key, const ct_entry& entry) {
    return BackendGone<ServiceKey, Backend>(lists, key, entry);
  });
  RETURN_IF_ERROR(gone.status());
  RETURN_IF_ERROR(map.DeleteMany(gone->data(), gone->size()));
  if (old != nullptr) {
    ASSIGN_OR_RETURN(const uint64_t more, (Purge<ServiceKey, Backend, Key>(*old, nullptr, lists)));
    return gone->size() + more;
  }
  return gone->size();
}

}  // namespace

absl::StatusOr<GcReport> CollectConntrack(const ConntrackMaps& maps, uint64_t now) {
  const auto start = std::chrono::steady_clock::now();
  GcReport report;
  if (maps.ct4 != nullptr) RETURN_IF_ERROR(Collect<ct_key4>(*maps.ct4, maps.ct4_old, 4, now, report));
  if (maps.ct6 != nullptr) RETURN_IF_ERROR(Collect<ct_key6>(*maps.ct6, maps.ct6_old, 6, now, report));
  for (const auto& [kind, counts] : report.kinds) {
    report.total.alive += counts.alive;
    report.total.deleted += counts.deleted;
  }
  report.duration = std::chrono::steady_clock::now() - start;
  return report;
}

absl::StatusOr<uint64_t> CountAlive(const kernel::BpfMap& map, uint64_t now) {
  const auto alive = [&](const auto&, const ct_entry& entry) { return !Expired(entry, now); };
  if (map.info().key_size == sizeof(ct_key4)) {
    ASSIGN_OR_RETURN(const auto keys, Select<ct_key4>(map, alive));
    return keys.size();
  }
  ASSIGN_OR_RETURN(const auto keys, Select<ct_key6>(map, alive));
  return keys.size();
}

absl::StatusOr<uint64_t> PurgeBackends(const ConntrackMaps& maps, const ServiceTable& services) {
  uint64_t purged = 0;
  if (maps.ct4 != nullptr) {
    ASSIGN_OR_RETURN(const uint64_t count,
                     (Purge<service_key4, backend4, ct_key4>(*maps.ct4, maps.ct4_old, services.lists4)));
    purged += count;
  }
  if (maps.ct6 != nullptr) {
    ASSIGN_OR_RETURN(const uint64_t count,
                     (Purge<service_key6, backend6, ct_key6>(*maps.ct6, maps.ct6_old, services.lists6)));
    purged += count;
  }
  return purged;
}

}  // namespace bonsai::tables
