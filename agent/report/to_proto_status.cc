// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "agent/report/labels.h"
#include "agent/report/life_service.h"
#include "agent/report/summary.h"
#include "agent/report/to_proto.h"

namespace bonsai::report {
namespace {

// Absent when the time was never set.
template <typename Set>
void PutTime(WallTime time, Set mutable_field) {
  if (time == WallTime()) return;
  const auto since_epoch = time.time_since_epoch();
  *mutable_field() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count());
}
#define PUT_TIME(time, message, field) PutTime(time, [&] { return (message).mutable_##field(); })

v1::Health ToHealth(Health health) {
  switch (health) {
    case Health::kStarting: return v1::HEALTH_STARTING;
    case Health::kHealthy: return v1::HEALTH_HEALTHY;
    case Health::kDegraded: return v1::HEALTH_DEGRADED;
    case Health::kUnhealthy: return v1::HEALTH_UNHEALTHY;
  }
  return v1::HEALTH_UNSPECIFIED;
}

void FillConfiguration(const ConfigurationState& from, v1::Configuration& to) {
  to.set_generation(from.generation);
  PUT_TIME(from.in_force_since, to, in_force_since);
  to.set_reload_seconds(from.reload_seconds);
  to.mutable_stage_seconds()->insert(from.stage_seconds.begin(), from.stage_seconds.end());
  to.set_in_sync(from.in_sync);
  if (!from.in_sync) PUT_TIME(from.drift_since, to, drift_since);
  to.set_reloads(from.reloads);
  to.mutable_rejections()->insert(from.rejections.begin(), from.rejections.end());
  to.set_source(from.source);
}

void FillDatapath(const Snapshot& from, v1::Datapath& to) {
  const DatapathSummary summary = SummarizeDatapath(from);
  to.set_entry_programs_loaded(summary.entries_loaded);
  to.set_entry_programs_total(summary.entries_total);
  to.set_tail_calls_loaded(summary.tails_loaded);
  to.set_tail_calls_total(summary.tails_total);
  to.set_live_instructions(summary.live_insns);
  to.set_total_instructions(summary.total_insns);
  std::set<std::string> devices;
  for (const Attachment& attachment : from.attachments) devices.insert(attachment.device);
  to.set_devices(static_cast<uint32_t>(devices.size()));
  to.set_load_retries(from.load_retries);
  to.set_tcx(from.tcx);
  to.set_xdp_mode(from.xdp_mode);
  to.set_neutralised_functions(summary.neutralised);
}

void FillMemory(const Snapshot& from, v1::Memory& to) {
  to.set_maps_created(static_cast<uint32_t>(from.maps.size()));
  to.set_maps_total(from.plan ? static_cast<uint32_t>(from.plan->maps.size()) : 0);
  to.set_loaded_bytes(from.memory_loaded);
  to.set_saved_bytes(from.memory_saved);
}

void FillPressure(const Snapshot& from, v1::GetStatusResponse& to) {
  for (const Pressure& pressure : Pressures(from)) {
    auto& row = *to.add_pressure();
    row.set_map(pressure.map);
    row.set_entries(pressure.entries);
    row.set_max_entries(pressure.max_entries);
    row.set_ratio(pressure.ratio);
  }
}

void FillSizing(const Snapshot& from, v1::GetStatusResponse& to) {
  for (const plan::SizingAdvice& advice : SizingAdvices(from)) {
    auto& row = *to.add_sizing();
    row.set_setting(advice.setting);
    row.set_map(advice.map);
    row.set_size(advice.size);
    row.set_peak_entries(advice.peak);
    row.set_suggested(advice.suggested);
    row.set_bytes_change(advice.bytes);
  }
}

void FillTraffic(const Snapshot& from, v1::Traffic& to) {
  uint64_t dropped = 0, forwarded = 0;
  for (const ReasonCount& count : from.reasons) {
    (count.is_drop ? dropped : forwarded) += count.packets;
    if (count.packets == 0) continue;
    auto& row = *to.add_reasons();
    row.set_reason(count.reason);
    row.set_hook(count.hook);
    row.set_drop(count.is_drop);
    row.set_packets(count.packets);
    row.set_bytes(count.bytes);
  }
  to.set_forwarded_packets(forwarded);
  to.set_dropped_packets(dropped);
  to.set_forwarded_per_second(from.forwards_per_second);
  to.set_dropped_per_second(from.drops_per_second);
}

void FillState(const Snapshot& from, v1::GetStatusResponse& to) {
  auto& conntrack = *to.mutable_conntrack();
  conntrack.set_entries(from.conntrack.entries);
  conntrack.set_collected_total(from.conntrack.collected_total);
  conntrack.set_gc_runs(from.conntrack.gc_runs);
  conntrack.set_last_gc_seconds(from.conntrack.last_gc_seconds);
  to.set_endpoints(static_cast<uint32_t>(from.endpoints.size()));
  to.set_services(CountServices(from));
  to.set_policies(from.policies);
  to.set_desired_source(from.desired_source);
  PUT_TIME(from.desired_synced, to, desired_synced);
  to.set_flow_events(from.flow_events);
  to.set_flow_events_lost(from.flow_events_lost);
}

}  // namespace

v1::GetStatusResponse ToStatus(const Snapshot& snapshot) {
  v1::GetStatusResponse status;
  status.set_version(snapshot.version);
  status.set_node(snapshot.node);
  status.set_kernel(snapshot.kernel);
  PUT_TIME(snapshot.started, status, started);
  PUT_TIME(snapshot.taken, status, taken);
  status.set_health(ToHealth(snapshot.health));
  for (const Problem& problem : snapshot.problems) {
    auto& row = *status.add_problems();
    row.set_code(problem.code);
    row.set_message(problem.message);
    PUT_TIME(problem.since, row, since);
    row.set_step(problem.step);
    row.set_object(problem.object);
    for (const std::string& line : problem.verifier) row.add_verifier(line);
  }
  FillConfiguration(snapshot.configuration, *status.mutable_configuration());
  for (const FeatureState& feature : snapshot.features) {
    feature.on ? status.add_features_on(feature.name) : status.add_features_off(feature.name);
    if (feature.degraded) status.add_features_degraded(feature.name);
  }
  FillDatapath(snapshot, *status.mutable_datapath());
  FillMemory(snapshot, *status.mutable_memory());
  FillPressure(snapshot, status);
  FillSizing(snapshot, status);
  FillTraffic(snapshot, *status.mutable_traffic());
  FillState(snapshot, status);
  if (snapshot.life) *status.mutable_life() = ToLifeState(*snapshot.life);
  return status;
}

v1::GetVersionResponse ToVersion(const Snapshot& snapshot) {
  v1::GetVersionResponse version;
  version.set_version(snapshot.version);
  version.set_kernel(snapshot.kernel);
  version.set_node(snapshot.node);
  PUT_TIME(snapshot.started, version, started);
  return version;
}

}  // namespace bonsai::report
