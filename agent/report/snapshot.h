// SPDX-License-Identifier: Apache-2.0
// Snapshot: all that readers (gRPC, Prometheus, probes) may know of the agent at one moment. Written
// by the reconciler thread alone, published whole, never changed afterwards. Readers hold a
// shared_ptr<const Snapshot> and see one generation or the next, never half.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/plan/inputs.h"
#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"
#include "agent/tables/desired_state.h"
#include "datapath/include/contract.h"

namespace bonsai::report {

using WallTime = std::chrono::system_clock::time_point;

enum class Health { kStarting, kHealthy, kDegraded, kUnhealthy };

// A problem that is in force now. `code` is a stable word for metrics: "configuration", "load",
// "attach", "migrate", "layout", "manifests", "tables", "kernel-feature", "reachability-retry",
// "life".
struct Problem {
  std::string code;
  std::string message;  // one line; names the thing and what to do
  WallTime since;
  // Of a change that failed, else empty: the step, what it was about, the verifier's last lines.
  std::string step, object;
  std::vector<std::string> verifier;
};

struct ConfigurationState {
  uint64_t generation = 0;          // of the configuration in force; rises with each one applied
  WallTime in_force_since;
  double reload_seconds = 0;        // how long the last change took until it was in force
  // plan, check, load, tables, attach; afterwards release, migrate
  std::map<std::string, double> stage_seconds;
  bool in_sync = true;              // what is on disk is what is in force
  WallTime drift_since;             // meaningful unless in_sync
  uint64_t reloads = 0;             // generations made since the start
  std::map<std::string, uint64_t> rejections;  // reason ("settings", "migrate", "load", ...) -> count
  std::string source;               // directory or file
};

struct LoadedMap {
  uint32_t id = 0;                  // kernel id
  uint64_t bytes = 0;               // fdinfo memlock, measured
  uint64_t entries = 0;             // in use, as of the last count
  bool entries_known = false;
  uint64_t peak_entries = 0;        // most at any count
  WallTime counted_since;           // of the first count
};

struct LoadedProgram {
  uint32_t id = 0;
  uint64_t jited_bytes = 0;
  uint64_t translated_insns = 0;    // slots, after the verifier's own work
  uint64_t verified_insns = 0;
  uint64_t memlock_bytes = 0;
};

struct Attachment {
  std::string device;
  uint32_t ifindex = 0;
  std::string hook;                 // "xdp", "from-pod", "to-pod", "from-netdev"
  std::string mode;                 // "tcx", "clsact", "xdp-native", "xdp-generic"
  uint32_t program_id = 0;
};

struct FeatureState {
  std::string name;                 // "conntrack"
  std::string setting;              // "enable-conntrack"
  bool on = false;
  bool degraded = false;            // on, but the kernel lacks something
  std::string doc;
  std::vector<std::string> maps;    // the feature's maps, created or not
  uint64_t bytes_loaded = 0;        // measured, of its maps that exist
  uint64_t bytes_saved = 0;         // predicted, of its maps that do not
};

struct Endpoint {
  std::string pod;                  // "namespace/name"
  std::vector<tables::Address> addresses;
  uint32_t endpoint_id = 0;
  uint32_t identity = 0;
  std::string device;               // "" : no device found
  bool enforce_ingress = false, enforce_egress = false;
};

struct ServiceRow {
  std::string service;              // "namespace/name:port"
  tables::Address address;
  uint16_t port = 0;
  uint8_t protocol = 6;
  std::vector<std::pair<tables::Address, uint16_t>> backends;
};

struct PolicyRuleRow {
  uint32_t rule = 0;
  std::string policy;               // "namespace/name"
  std::string direction;            // "ingress" or "egress"
  std::string description;
  uint32_t entries = 0;             // in the policy map
};

struct ReasonCount {
  std::string reason;               // label of contract.h
  std::string hook;
  bool is_drop = false;
  uint64_t packets = 0, bytes = 0;
};

struct ConntrackState {
  uint64_t entries = 0, collected_total = 0, gc_runs = 0;
  double last_gc_seconds = 0;
};

struct Snapshot {
  // --- the agent and the node
  std::string version, node, kernel;
  bool tcx = false;
  std::string xdp_mode;             // "native", "generic", "" when no XDP program is attached
  WallTime started, taken;
  Health health = Health::kStarting;
  std::vector<Problem> problems;
  // --- configuration
  ConfigurationState configuration;
  std::shared_ptr<const settings::Settings> settings;  // null before the first one is in force
  std::shared_ptr<const settings::Schema> schema;
  // --- what was planned and what exists
  std::shared_ptr<const plan::LoadPlan> plan;          // null before the first load
  // What plans of other configurations are made from; null until the node is known.
  std::shared_ptr<const plan::Inputs> inputs;
  std::string bpf_root;  // below it the maps in force are pinned as maps/<name>
  std::map<std::string, LoadedMap> maps;               // by map name; only those that exist
  std::map<std::string, LoadedProgram> programs;       // by "object/program"; only those loaded
  std::vector<Attachment> attachments;
  std::vector<FeatureState> features;
  uint64_t memory_loaded = 0;       // bytes, measured: maps
  uint64_t memory_saved = 0;        // bytes, predicted: maps not created + JITed bytes of programs not loaded
  uint64_t memory_saved_programs = 0;  // the latter part of it
  uint64_t load_retries = 0;        // retry ladder
  // --- state
  std::vector<Endpoint> endpoints;
  std::vector<ServiceRow> services;
  std::vector<PolicyRuleRow> policy_rules;
  uint32_t policies = 0;
  std::string desired_source;       // "manifests /dir", "none"
  WallTime desired_synced;
  std::vector<ReasonCount> reasons;
  ConntrackState conntrack;
  uint64_t flow_events = 0, flow_events_lost = 0;
  // By enum dns_counter, http_counter, all CPUs together; empty while the feature is off.
  std::vector<uint64_t> dns_counts, http_counts;
  std::optional<life_state> life;  // nothing: there is no board
  // --- packets a second over the last seconds; filled in by Publisher::Publish from `reasons`
  double drops_per_second = 0, forwards_per_second = 0;
};

// Turns cumulative packet counts into rates over the last kWindow. One thread at a time.
class PacketRates {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{10};
  // Adds the counts of `snapshot` as of `now` and writes its rates. Counts that fell (a datapath
  // that was made anew) start over.
  void Update(Time now, Snapshot& snapshot);

 private:
  struct Sample {
    Time time;
    uint64_t drops = 0, forwards = 0;
  };
  std::deque<Sample> samples_;  // oldest first
};

// Hands the current snapshot to any thread. Publish is called by the reconciler only, often enough
// (every few seconds) that its silence means it is stuck: probes look at Age().
class Publisher {
 public:
  Publisher() : current_(std::make_shared<const Snapshot>()) {}
  void Publish(Snapshot snapshot);
  std::shared_ptr<const Snapshot> Current() const;
  // Waits until the current snapshot is another than `seen`, or `stop` is requested; returns the
  // current one either way.
  std::shared_ptr<const Snapshot> WaitForOther(const std::shared_ptr<const Snapshot>& seen,
                                               std::stop_token stop) const;
  // Time since the last Publish; since construction before the first.
  std::chrono::steady_clock::duration Age() const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::shared_ptr<const Snapshot> current_;
  std::chrono::steady_clock::time_point published_ = std::chrono::steady_clock::now();
  PacketRates rates_;
};

}  // namespace bonsai::report
