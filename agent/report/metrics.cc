// SPDX-License-Identifier: Apache-2.0
#include "agent/report/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "agent/report/exposition.h"
#include "agent/report/metrics_l7.h"
#include "agent/report/summary.h"
#include "agent/tables/life_board.h"

namespace bonsai::report {
namespace {

double Seconds(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

std::string HealthName(Health health) {
  switch (health) {
    case Health::kStarting: return "starting";
    case Health::kHealthy: return "healthy";
    case Health::kDegraded: return "degraded";
    case Health::kUnhealthy: return "unhealthy";
  }
  return "unknown";
}

// One label's worth of text; the last lines say most.
std::string JoinedEnd(const std::vector<std::string>& lines) {
  constexpr size_t kMost = 400;
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : " | ") + line;
  return text.size() <= kMost ? text : "..." + text.substr(text.size() - kMost);
}

void AddAgent(const Snapshot& s, Exposition& out) {
  out.Gauge("build_info", "Version of the agent and of the kernel it runs on; always 1.")
      .Add(1, {{"version", s.version}, {"kernel", s.kernel}, {"node", s.node}});
  if (s.started != WallTime()) {
    out.Gauge("start_time_seconds", "When the agent started, seconds since the epoch.")
        .Add(Seconds(s.started));
  }
  auto& health = out.Gauge("health", "1 for the state the agent is in, 0 for the others.");
  for (Health state : {Health::kStarting, Health::kHealthy, Health::kDegraded, Health::kUnhealthy}) {
    health.Add(s.health == state, {{"state", HealthName(state)}});
  }
  auto& problems = out.Gauge("problems", "Problems in force now, by code.");
  std::map<std::string, uint64_t> by_code;
  for (const Problem& problem : s.problems) ++by_code[problem.code];
  for (const auto& [code, count] : by_code) problems.Add(count, {{"code", code}});
  auto& failures = out.Gauge("change_failure_info",
                             "1 for each failed change: step, object, verifier's last lines.");
  std::set<Labels> distinct;  // two problems may have failed in one place
  for (const Problem& problem : s.problems) {
    if (problem.step.empty()) continue;
    distinct.insert({{"code", problem.code},
                     {"step", problem.step},
                     {"object", problem.object},
                     {"verifier", JoinedEnd(problem.verifier)}});
  }
  for (const Labels& labels : distinct) failures.Add(1, labels);
}

void AddConfiguration(const Snapshot& s, Exposition& out) {
  const ConfigurationState& c = s.configuration;
  out.Gauge("configuration_generation", "Generation of the configuration in force; 0: none yet.")
      .Add(c.generation);
  out.Gauge("configuration_in_sync", "1 while the configuration on disk is the one in force.")
      .Add(c.in_sync);
  out.Gauge("configuration_drift_seconds",
            "For how long the configuration on disk has not been the one in force; 0: it is.")
      .Add(c.in_sync ? 0 : std::max(0.0, Seconds(s.taken) - Seconds(c.drift_since)));
  auto& rejections =
      out.Counter("configuration_rejections", "Configurations refused, by the stage that refused.");
  for (const char* reason : {"settings", "migrate", "load", "attach"}) {
    if (!c.rejections.contains(reason)) rejections.Add(0, {{"reason", reason}});
  }
  for (const auto& [reason, count] : c.rejections) rejections.Add(count, {{"reason", reason}});
  out.Counter("configuration_reloads", "Generations applied since the agent started.").Add(c.reloads);
  if (c.generation == 0) return;
  auto& stages = out.Gauge("reload_duration_seconds",
                           "Duration of each stage of the last change; release and migrate come "
                           "when it is in force.");
  for (const auto& [stage, seconds] : c.stage_seconds) stages.Add(seconds, {{"stage", stage}});
}

void AddMaps(const Snapshot& s, Exposition& out) {
  out.Gauge("memory_loaded_bytes", "Kernel memory of all maps that exist, measured.")
      .Add(s.memory_loaded);
  out.Gauge("memory_pruned_bytes",
            "Kernel memory saved: maps and programs that were not created, predicted.")
      .Add(s.memory_saved);
  out.Gauge("memory_pruned_maps_bytes", "The part of it that is maps.")
      .Add(s.memory_saved - s.memory_saved_programs);
  out.Gauge("memory_pruned_programs_bytes",
            "The part of it that is machine code: as it was when last loaded, else estimated.")
      .Add(s.memory_saved_programs);
  auto& saved = out.Gauge("memory_saved_bytes",
                          "Kernel memory of a feature's maps that were not created, predicted.");
  auto& loaded = out.Gauge("feature_memory_bytes",
                           "Kernel memory of a feature's maps that exist, measured.");
  auto& enabled = out.Gauge("feature_enabled", "1 when the feature is on.");
  auto& degraded = out.Gauge("feature_degraded", "1 when the kernel lacks what the feature needs.");
  for (const FeatureState& feature : s.features) {
    saved.Add(feature.bytes_saved, {{"feature", feature.name}});
    loaded.Add(feature.bytes_loaded, {{"feature", feature.name}});
    enabled.Add(feature.on, {{"feature", feature.name}});
    degraded.Add(feature.degraded, {{"feature", feature.name}});
  }
  if (!s.plan) return;
  auto& bytes = out.Gauge("map_bytes",
                          "Kernel memory of a map: measured when loaded, predicted when pruned.");
  auto& room = out.Gauge("map_max_entries", "Entries a loaded map has room for.");
  uint64_t pruned = 0;
  for (const plan::MapPlan& map : s.plan->maps) {
    const bool exists = s.maps.contains(map.name);
    pruned += !exists;
    bytes.Add(BytesOf(map, s), {{"map", map.name},
                                {"feature", map.feature},
                                {"state", exists ? "loaded" : "pruned"}});
    if (exists) room.Add(map.max_entries, {{"map", map.name}});
  }
  out.Gauge("maps", "Maps of the datapath, by state.")
      .Add(s.maps.size(), {{"state", "loaded"}})
      .Add(pruned, {{"state", "pruned"}});
  auto& entries = out.Gauge("map_entries", "Entries in use at the last count.");
  auto& peaks = out.Gauge("map_entries_peak", "Most entries of a loaded map at any count.");
  for (const auto& [name, map] : s.maps) {
    if (map.entries_known) peaks.Add(map.peak_entries, {{"map", name}});
  }
  auto& pressure = out.Gauge("map_pressure_ratio", "Entries in use over room, 0 to 1.");
  for (const Pressure& p : Pressures(s)) {
    entries.Add(p.entries, {{"map", p.map}});
    pressure.Add(p.ratio, {{"map", p.map}});
  }
}

void AddPrograms(const Snapshot& s, Exposition& out) {
  const DatapathSummary sum = SummarizeDatapath(s);
  if (s.plan) {
    out.Gauge("programs", "Programs on hooks, by state.")
        .Add(sum.entries_loaded, {{"state", "loaded"}})
        .Add(sum.entries_total - sum.entries_loaded, {{"state", "pruned"}});
    out.Gauge("tail_calls", "Tail-call programs, by state.")
        .Add(sum.tails_loaded, {{"state", "loaded"}})
        .Add(sum.tails_total - sum.tails_loaded, {{"state", "pruned"}});
    out.Gauge("instructions", "Instruction slots of all objects, by whether they can be reached.")
        .Add(sum.live_insns, {{"state", "live"}})
        .Add(sum.total_insns - sum.live_insns, {{"state", "dead"}});
  }
  auto& translated = out.Gauge("program_translated_instructions",
                               "Instruction slots of a loaded program after verification.");
  auto& verified = out.Gauge("program_verified_instructions",
                             "Instructions the verifier walked to accept a program.");
  auto& jited = out.Gauge("program_jited_bytes", "Machine code of a loaded program.");
  for (const auto& [name, program] : s.programs) {
    translated.Add(program.translated_insns, {{"program", name}});
    verified.Add(program.verified_insns, {{"program", name}});
    jited.Add(program.jited_bytes, {{"program", name}});
  }
  auto& attachments = out.Gauge("attachments", "Programs on devices, by hook and mode.");
  std::map<std::pair<std::string, std::string>, uint64_t> places;
  for (const Attachment& a : s.attachments) ++places[{a.hook, a.mode}];
  for (const auto& [place, count] : places) {
    attachments.Add(count, {{"hook", place.first}, {"mode", place.second}});
  }
  if (s.plan) {
    out.Gauge("neutralised_functions", "Global functions left out because only dead code calls them.")
        .Add(sum.neutralised);
  }
  out.Counter("load_retries", "Loads repeated with more kept than the engine found live.")
      .Add(s.load_retries);
}

void AddTraffic(const Snapshot& s, Exposition& out) {
  auto& drops = out.Counter("drops", "Packets dropped, by reason and hook.");
  auto& drop_bytes = out.Counter("drops_bytes", "Bytes of dropped packets, by reason and hook.");
  auto& forwards = out.Counter("forwards", "Packets forwarded, by reason and hook.");
  auto& forward_bytes = out.Counter("forwards_bytes", "Bytes forwarded, by reason and hook.");
  for (const ReasonCount& count : s.reasons) {
    const Labels labels = {{"reason", count.reason}, {"hook", count.hook}};
    (count.is_drop ? drops : forwards).Add(count.packets, labels);
    (count.is_drop ? drop_bytes : forward_bytes).Add(count.bytes, labels);
  }
  out.Gauge("conntrack_entries", "Connections tracked at the last count.").Add(s.conntrack.entries);
  out.Counter("conntrack_gc_collected_entries", "Expired connections that the agent removed.")
      .Add(s.conntrack.collected_total);
  out.Counter("conntrack_gc_runs", "Collections of expired connections.").Add(s.conntrack.gc_runs);
  out.Gauge("conntrack_gc_duration_seconds", "Duration of the last collection.")
      .Add(s.conntrack.last_gc_seconds);
  out.Counter("flow_events", "Flow events received from the datapath.").Add(s.flow_events);
  out.Counter("flow_events_lost", "Flow events lost before a reader had them.")
      .Add(s.flow_events_lost);
}

// Counters rise from the moment the board's maps were made, across restarts of the agent.
void AddLife(const Snapshot& s, Exposition& out) {
  if (!s.life) return;
  constexpr double kNanos = 1e9;
  const life_state& life = *s.life;
  out.Counter("life_generations", "Generations of the Game of Life computed.").Add(life.generations);
  out.Counter("life_compute_seconds", "CPU time that computing generations took, without the timer's own.")
      .Add(life.total_ns / kNanos);
  out.Gauge("life_generation_seconds", "CPU time that the last generation took.")
      .Add(life.last_ns / kNanos);
  out.Gauge("life_longest_slice_seconds", "Longest time without a pause that the kernel was at it.")
      .Add(life.longest_ns / kNanos);
  out.Gauge("life_generation", "Number of the generation on the board.").Add(life.generation);
  out.Gauge("life_population", "Live cells in it.").Add(life.population);
  out.Gauge("life_paused", "1 while the board stands still.").Add(tables::IsPaused(life));
  out.Counter("life_events_lost", "Generations that were not told to the agent: it did not read in time.")
      .Add(life.events_lost);
}

void AddState(const Snapshot& s, Exposition& out) {
  out.Gauge("endpoints", "Pods of this node.").Add(s.endpoints.size());
  out.Gauge("services", "Services that are translated.").Add(CountServices(s));
  out.Gauge("policies", "Network policies.").Add(s.policies);
  out.Gauge("policy_rules", "Rules of all network policies.").Add(s.policy_rules.size());
  if (s.desired_synced != WallTime()) {
    out.Gauge("desired_state_sync_time_seconds",
              "When pods, services and policies were last read, seconds since the epoch.")
        .Add(Seconds(s.desired_synced));
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> MetricsCollector::Collect() const {
  const std::shared_ptr<const Snapshot> snapshot = publisher_.Current();
  Exposition out;
  AddAgent(*snapshot, out);
  AddConfiguration(*snapshot, out);
  AddMaps(*snapshot, out);
  AddPrograms(*snapshot, out);
  AddTraffic(*snapshot, out);
  AddL7(*snapshot, out);
  AddState(*snapshot, out);
  AddLife(*snapshot, out);
  return out.Take();
}

std::string MetricsText(const MetricsCollector& collector) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, collector.Collect());
  return out.str();
}

}  // namespace bonsai::report
