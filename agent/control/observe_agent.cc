// SPDX-License-Identifier: Apache-2.0
// The reconciler's snapshot of itself.
#include "agent/base/status.h"
#include "agent/base/version.h"
#include "agent/control/observe.h"
#include "agent/control/reconciler.h"

namespace bonsai::control {
namespace {

report::LoadedMap Describe(const load::LoadedMap& map) {
  // What a map takes may grow (tries, ring buffers do not), so it is asked each time.
  absl::StatusOr<uint64_t> bytes = map.map.MemoryBytes();
  return {.id = map.map.info().id, .bytes = bytes.ok() ? *bytes : map.bytes};
}

report::LoadedProgram Describe(const load::LoadedProgram& program) {
  return {.id = program.info.id,
          .jited_bytes = program.info.jited_bytes,
          .translated_insns = program.info.xlated_bytes / 8,
          .verified_insns = program.info.verified_insns,
          .memlock_bytes = program.memory_bytes};
}

report::Health Judge(bool in_force, bool degraded) {
  if (!in_force) return degraded ? report::Health::kUnhealthy : report::Health::kStarting;
  return degraded ? report::Health::kDegraded : report::Health::kHealthy;
}

}  // namespace

report::Snapshot Reconciler::Observe() const {
  report::Snapshot snapshot;
  snapshot.version = base::kVersion;
  snapshot.node = options_.node_name;
  snapshot.kernel = datapath_.features().release;
  snapshot.tcx = datapath_.features().tcx;
  snapshot.started = started_;
  snapshot.taken = std::chrono::system_clock::now();
  snapshot.configuration = configuration_;
  snapshot.settings = in_force_;
  snapshot.inputs = inputs_;
  snapshot.bpf_root = options_.bpf_root;
  snapshot.schema = schema_;
  snapshot.conntrack = conntrack_;
  snapshot.flow_events = hub_.received();
  snapshot.flow_events_lost = hub_.lost();
  snapshot.load_retries = load_retries_;
  snapshot.desired_source = desired_.source();
  snapshot.desired_synced = desired_.synced();
  snapshot.problems = problems_.List();
  snapshot.life = life_.State();
  if (in_force_ != nullptr && datapath_.loaded() != nullptr) {
    ObserveDatapath(snapshot);
    ObserveTables(snapshot);
  }
  for (const std::string& missing : datapath_.features().Degradations()) {
    snapshot.problems.push_back({"kernel-feature", missing, started_});
  }
  snapshot.health = Judge(in_force_ != nullptr, !problems_.List().empty());
  return snapshot;
}

void Reconciler::ObserveDatapath(report::Snapshot& snapshot) const {
  snapshot.plan = datapath_.plan();
  for (const auto& [name, map] : datapath_.loaded()->maps()) {
    report::LoadedMap shown = Describe(map);
    if (const auto counted = entries_.find(name); counted != entries_.end()) {
      shown.entries = counted->second;
      shown.entries_known = true;
      peaks_.Show(name, shown);
    }
    snapshot.memory_loaded += shown.bytes;
    snapshot.maps[name] = shown;
  }
  for (const auto& [name, program] : datapath_.loaded()->programs()) {
    snapshot.programs[name] = Describe(program);
  }
  snapshot.memory_saved_programs = ProgramsSaved(*snapshot.plan, jited_);
  snapshot.memory_saved = MapsSaved(*snapshot.plan) + snapshot.memory_saved_programs;
  snapshot.features = Features(*schema_, *in_force_, *snapshot.plan, snapshot.maps);
  for (report::FeatureState& feature : snapshot.features) {
    feature.degraded |= feature.on && feature.name == "life" && !datapath_.features().loop;
  }
  for (const attach::Attachment& attachment : datapath_.attachments()) {
    const std::string mode = attach::MechanismName(attachment.mechanism);
    if (attachment.target.hook == HOOK_XDP) snapshot.xdp_mode = mode.substr(mode.find('-') + 1);
    snapshot.attachments.push_back({.device = attachment.target.ifname,
                                    .ifindex = attachment.target.ifindex,
                                    .hook = attach::HookName(attachment.target.hook),
                                    .mode = mode,
                                    .program_id = attachment.program_id});
  }
  ObserveCounters(snapshot);
}

void Reconciler::ObserveCounters(report::Snapshot& snapshot) const {
  const auto read = [&](const char* name, auto reader, auto& into) {
    const kernel::BpfMap* map = datapath_.loaded()->FindMap(name);
    if (map == nullptr) return;
    auto counts = reader(*map);
    if (counts.ok()) {
      into = *std::move(counts);
    } else {
      snapshot.problems.push_back({"metrics", base::Message(counts.status()), snapshot.taken});
    }
  };
  read("metrics", ReadReasons, snapshot.reasons);
  read("dns_metrics", ReadCounters, snapshot.dns_counts);
  read("http_metrics", ReadCounters, snapshot.http_counts);
}

void Reconciler::ObserveTables(report::Snapshot& snapshot) const {
  std::map<uint32_t, std::string> names;
  for (const kernel::Link& link : node_->links) names[link.ifindex] = link.name;
  snapshot.endpoints = Endpoints(desired_.tables(), names);
  snapshot.services = Services(desired_.state().services);
  snapshot.policy_rules = PolicyRules(desired_.tables());
  snapshot.policies = static_cast<uint32_t>(desired_.state().policies.size());
}

}  // namespace bonsai::control
