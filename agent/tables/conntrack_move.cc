// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/conntrack_move.h"

#include <cstring>

#include "agent/base/status.h"

namespace bonsai::tables {
namespace {

constexpr uint16_t kFins = CT_FIN_FROM_POD | CT_FIN_TO_POD;

bool Closed(const ct_entry& entry) {
  return (entry.flags & CT_RST) != 0 || (entry.flags & kFins) == kFins;
}

ct_entry Decode(std::span<const uint8_t> bytes) {
  ct_entry entry;
  std::memcpy(&entry, bytes.data(), sizeof(entry));
  return entry;
}

// A closed connection has no traffic to race with: its entry may be read and written back. The walk
// reads many entries at once, so `from` is asked again: a connection that follows under the same key
// stands in both tables by now.
absl::StatusOr<bool> Close(const kernel::BpfMap& from, const kernel::BpfMap& to, const void* key) {
  ct_entry earlier, entry;
  absl::Status found = from.Lookup(key, &earlier);
  if (found.ok()) found = to.Lookup(key, &entry);
  if (absl::IsNotFound(found)) return false;
  RETURN_IF_ERROR(found);
  if (!TakeClosing(earlier, entry)) return false;
  absl::Status written = to.Update(key, &entry, kernel::UpdateMode::kOnlyExisting);
  if (absl::IsNotFound(written)) return false;
  RETURN_IF_ERROR(written);
  return true;
}

absl::Status MoveOne(const kernel::BpfMap& from, const kernel::BpfMap& to,
                     std::span<const uint8_t> key, std::span<const uint8_t> value,
                     MoveReport& report) {
  ++report.entries;
  absl::Status added = to.Update(key.data(), value.data(), kernel::UpdateMode::kOnlyNew);
  if (added.ok()) {
    ++report.moved;
    return added;
  }
  if (!absl::IsAlreadyExists(added)) return added;
  if (!Closed(Decode(value))) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool closed, Close(from, to, key.data()));
  report.closed += closed;
  return absl::OkStatus();
}

}  // namespace

bool TakeClosing(const ct_entry& from, ct_entry& to) {
  if (!Closed(from) || Closed(to)) return false;
  // One connection after another under the same key: the later one was written into both tables.
  if ((from.flags ^ to.flags) & CT_OPENED_BY_POD) return false;
  to.flags |= from.flags & (kFins | CT_RST);
  to.expires = from.expires;
  return true;
}

absl::StatusOr<MoveReport> MoveConntrack(const kernel::BpfMap& from, const kernel::BpfMap& to) {
  const auto start = std::chrono::steady_clock::now();
  MoveReport report;
  if (from.ValueBytes() != sizeof(ct_entry) || to.ValueBytes() != sizeof(ct_entry) ||
      from.info().key_size != to.info().key_size) {
    return base::Internal("moving conntrack: maps {} and {} have other layouts than this agent",
                          from.info().name, to.info().name);
  }
  absl::Status status = absl::OkStatus();
  RETURN_IF_ERROR(from.ForEach([&](auto key, auto value) {
    status = MoveOne(from, to, key, value, report);
    return status.ok();
  }));
  if (!status.ok()) return base::Annotate(status, "moving conntrack to map " + to.info().name);
  report.duration = std::chrono::steady_clock::now() - start;
  return report;
}

}  // namespace bonsai::tables
