// SPDX-License-Identifier: Apache-2.0
#include "agent/control/reconciler.h"

#include <algorithm>

#include "agent/base/status.h"
#include "agent/control/observe.h"
#include "agent/tables/conntrack_gc.h"

namespace bonsai::control {
namespace {

constexpr std::chrono::seconds kPublishInterval{2};
constexpr std::chrono::seconds kCheckInterval{5};
// Without a change of anything the tables are compared with what they shall hold this often.
constexpr std::chrono::seconds kTablesInterval{60};
// Nothing mends a map that began empty: its loss is a problem for long enough to be noticed.
constexpr std::chrono::minutes kLayoutShown{10};
constexpr std::chrono::seconds kFirstRetryDelay{1};
constexpr std::chrono::seconds kLongestRetryDelay{60};

std::vector<std::string> Messages(const std::vector<load::Retry>& retries) {
  std::vector<std::string> messages;
  for (const load::Retry& retry : retries) messages.push_back(load::ToString(retry));
  return messages;
}

}  // namespace

Reconciler::Reconciler(const Options& options, const settings::Schema& schema, Datapath datapath,
                       Inbox& inbox, report::Publisher& publisher, report::FlowHub& hub,
                       report::LifeDesk& life, base::Logger log)
    : options_(options),
      inbox_(inbox),
      publisher_(publisher),
      hub_(hub),
      log_(std::move(log)),
      schema_(std::make_shared<const settings::Schema>(schema)),
      config_(options, *schema_),
      problems_(log_),
      datapath_(std::move(datapath)),
      desired_(options),
      flow_reader_(publisher, hub),
      life_(life) {
  configuration_.source = config_.path();
  configuration_.in_sync = false;  // nothing is in force yet
  configuration_.drift_since = started_;
}

void Reconciler::Run(std::stop_token stop) {
  Events events = kConfigChanged | kManifestsChanged | kNetworkChanged;
  Clock::time_point due{};
  while (!stop.stop_requested()) {
    life_.Serve();
    // Who asks about the board may come many times a second, and changes nothing else.
    if (events != kLifeAsked || Clock::now() >= due) {
      Step(events);
      publisher_.Publish(Observe());
      ReconcileFlowReader();
      due = NextWake();
    }
    events = inbox_.Take(due, stop);
  }
}

void Reconciler::Step(Events events) {
  if (events & kNetworkChanged || !node_) ReadNode();
  if (events & kConfigChanged) ReadConfig();
  if (events & kManifestsChanged) ReadManifests();
  if (node_ && wanted_) Reconcile(events);
  ReconcileServers();
}

void Reconciler::Reconcile(Events events) {
  const bool retry = retry_at_ && Clock::now() >= *retry_at_;
  if (wanted_changed_ || retry || events & kNetworkChanged) ReconcileDatapath();
  if (in_force_ == nullptr) return;
  if (epoch_stale_) RaisePolicyEpoch();
  if (life_stale_) ReconcileLife();
  const Clock::time_point begin = Clock::now();
  if (tables_stale_ || begin >= next_tables_) ReconcileTables();
  if (live_change_) {  // what it wrote is all that there was to do
    const std::chrono::duration<double> took = Clock::now() - begin;
    configuration_.stage_seconds["tables"] += took.count();
    configuration_.reload_seconds += took.count();
    live_change_ = false;
  }
  if (Clock::now() >= next_check_) CheckAttachments();
  if (Clock::now() >= next_gc_) CollectConntrack();
}

void Reconciler::ReadNode() {
  absl::StatusOr<kernel::NodeFacts> node = kernel::GatherNodeFacts();
  problems_.Set("node", node.status());
  if (!node.ok()) return;
  node_ = *std::move(node);
  if (inputs_ == nullptr) {
    inputs_ = std::make_shared<const plan::Inputs>(datapath_.Inputs(schema_, *node_));
  }
  tables_stale_ = true;
}

void Reconciler::ReadConfig() {
  absl::StatusOr<settings::Settings> read = config_.Read();
  if (read.ok()) {
    problems_.Set("configuration", std::vector<std::string>());
    refused_.clear();
    // The watcher also calls when nothing has changed; only another configuration is worth a try.
    if (!wanted_ || wanted_->values() != read->values() || wanted_->given() != read->given()) {
      wanted_ = *std::move(read);
      wanted_changed_ = true;
      retry_delay_ = kFirstRetryDelay;
    }
    if (in_force_ != nullptr && in_force_->values() == wanted_->values()) {
      configuration_.in_sync = true;
    }
    return;
  }
  std::vector<std::string> lines = base::Lines(read.status());
  problems_.Set("configuration", lines);
  MarkDrift();
  if (refused_ != lines) ++configuration_.rejections["settings"];
  refused_ = std::move(lines);
}

void Reconciler::MarkDrift() {
  if (configuration_.in_sync) configuration_.drift_since = std::chrono::system_clock::now();
  configuration_.in_sync = false;
}

void Reconciler::ReadManifests() {
  bool changed = false;
  problems_.Set("manifests", desired_.Refresh(changed));
  tables_stale_ |= changed;
}

void Reconciler::ReconcileDatapath() {
  wanted_changed_ = false;
  if (absl::Status built = desired_.Build(*node_, *wanted_); !built.ok()) {
    Refuse("tables", built);
    return;
  }
  std::string stage;
  const Datapath::Fill fill = [this](const plan::LoadPlan& plan, const load::Loaded& loaded) {
    if (in_force_ == nullptr) {
      const auto& maps = loaded.maps();
      adopted_ = std::any_of(maps.begin(), maps.end(),
                             [](const auto& map) { return map.second.reused; });
    }
    const tables::WriteReport report = desired_.Write(plan, loaded, Hold());
    if (!report.errors.empty()) return report.errors.front();
    TakeReport(report);
    return absl::OkStatus();
  };
  absl::StatusOr<Datapath::Applied> applied = datapath_.Apply(*wanted_, *node_, fill, stage);
  if (!applied.ok()) {
    Refuse(stage, applied.status());
    return;
  }
  for (const char* code : {"plan", "load", "migrate"}) problems_.Set(code, absl::OkStatus());
  problems_.Set("attach", datapath_.warnings());
  problems_.Set("layout", datapath_.lost());
  problems_.Set("reachability-retry", Messages(datapath_.loaded()->retries()));
  retry_at_.reset();
  retry_delay_ = kFirstRetryDelay;
  Accept(*applied);
  if (!applied->unfinished.ok()) {
    problems_.Set("migrate", applied->unfinished);
    RetryLater();
  }
}

void Reconciler::Accept(const Datapath::Applied& applied) {
  const bool changed = in_force_ == nullptr || in_force_->values() != wanted_->values();
  if (changed || in_force_->given() != wanted_->given()) {
    in_force_ = std::make_shared<const settings::Settings>(*wanted_);
    tables_stale_ = true;
    life_stale_ = true;
  }
  if (changed) {
    ++configuration_.generation;
    configuration_.in_force_since = std::chrono::system_clock::now();
    // The word is in the list of choices, so it cannot be refused.
    base::SetLevel(*log_, in_force_->String("log-level")).IgnoreError();
  }
  configuration_.in_sync = !problems_.Has("configuration");
  if (!changed && !applied.new_generation) return;
  configuration_.stage_seconds = applied.seconds;
  configuration_.reload_seconds = 0;
  for (const auto& [stage, seconds] : applied.seconds) {
    if (!Datapath::IsAfterwards(stage)) configuration_.reload_seconds += seconds;
  }
  live_change_ = !applied.new_generation;
  if (live_change_) return;
  ++configuration_.reloads;
  // Only now: while the earlier programs ran, they would have marked flows with the new epoch.
  epoch_stale_ = true;
  life_stale_ = true;
  flows_stale_ = true;
  peaks_.KeepOnly(datapath_.loaded()->maps());
  jited_.Take(datapath_.loaded()->programs());
  load_retries_ += datapath_.loaded()->retries().size();
  log_->info("configuration generation {} in force after {:.1f} ms", configuration_.generation,
             configuration_.reload_seconds * 1e3);
}

void Reconciler::Refuse(const std::string& code, const absl::Status& status) {
  if (!problems_.Has(code)) ++configuration_.rejections[code];
  problems_.Set(code, base::At(status, code, "datapath"));
  const std::string verifier = base::VerifierLog(status);
  if (!verifier.empty()) log_->debug("verifier: {}", verifier);
  if (in_force_ == nullptr || in_force_->values() != wanted_->values()) MarkDrift();
  RetryLater();
  // Devices come and go all the same, and get what is in force.
  if (in_force_ == nullptr) return;
  const absl::Status attached = datapath_.Reattach(*in_force_, *node_);
  if (code != "attach") problems_.Set("attach", attached);
}

void Reconciler::RetryLater() {
  retry_at_ = Clock::now() + retry_delay_;
  retry_delay_ = std::min(retry_delay_ * 2, kLongestRetryDelay);
}

// Until it is done, established flows keep the verdicts of the earlier settings.
void Reconciler::RaisePolicyEpoch() {
  const absl::Status raised = desired_.RaisePolicyEpoch(*datapath_.plan(), *datapath_.loaded());
  problems_.Set("policy", raised);
  epoch_stale_ = !raised.ok();
}

// The timer goes on with the programs of the generation before until this is done.
void Reconciler::ReconcileLife() {
  const absl::Status taken = life_.Take(*datapath_.loaded(), *in_force_);
  problems_.Set("life", taken);
  life_stale_ = !taken.ok();
}

void Reconciler::ReconcileTables() {
  next_tables_ = Clock::now() + kCheckInterval;  // soon again unless all goes well
  absl::Status built = desired_.Build(*node_, *in_force_);
  if (!built.ok()) {
    problems_.Set("tables", built);
    return;
  }
  problems_.Set("endpoints", EndpointProblems());
  const tables::WriteReport report = desired_.Write(*datapath_.plan(), *datapath_.loaded(), Hold());
  TakeReport(report);
  tables::ConntrackMaps maps = ConntrackMaps();
  if (in_force_->Bool("enable-load-balancer")) {
    absl::StatusOr<uint64_t> purged = tables::PurgeBackends(maps, desired_.tables().services);
    problems_.Set("conntrack", purged.status());
  }
  tables_stale_ = false;
  // What does not fit now may fit later, what the kernel refused it may do the next time.
  if (report.errors.empty()) next_tables_ = Clock::now() + kTablesInterval;
}

// After a restart the maps of the earlier agent hold what was in force; until all manifests have been
// read in a good version, that is worth more than what is known here.
bool Reconciler::Hold() const { return adopted_ && !desired_.complete(); }

std::vector<std::string> Reconciler::EndpointProblems() const {
  std::vector<std::string> problems = desired_.warnings();
  if (Hold()) {
    problems.push_back("the manifests are not all readable yet: pods, services and policies of the "
                       "earlier agent stay in force");
  }
  const std::set<uint32_t> devices = Datapath::PodDevices(*in_force_, *node_);
  for (const tables::EndpointInfo& endpoint : desired_.built().endpoints) {
    if (devices.contains(endpoint.ifindex)) continue;
    problems.push_back(fmt::format("pod {}/{} is behind interface {}, which pod-devices does not "
                                   "match: nothing is enforced there",
                                   endpoint.namespace_name, endpoint.name, endpoint.ifindex));
  }
  return problems;
}

void Reconciler::CheckAttachments() {
  next_check_ = Clock::now() + kCheckInterval;
  if (std::chrono::system_clock::now() - started_ > kLayoutShown) {
    problems_.Set("layout", absl::OkStatus());
  }
  if (retry_at_) return;  // the attempt that is due looks as well
  absl::Status status = datapath_.Reattach(*in_force_, *node_);
  if (status.ok()) {
    problems_.Set("attach", datapath_.warnings());
  } else {
    problems_.Set("attach", status);
  }
}

void Reconciler::ReconcileFlowReader() {
  if (!flows_stale_) {
    // An error of Replace stays until the next one; that of the thread comes later.
    if (!flow_reader_.status().ok()) problems_.Set("flow-events", flow_reader_.status());
    return;
  }
  flows_stale_ = false;
  const auto ring = [this](const char* name) {
    const kernel::BpfMap* map = datapath_.loaded()->FindMap(name);
    return map == nullptr ? -1 : map->fd();
  };
  problems_.Set("flow-events", flow_reader_.Replace({.flows = ring("events"),
                                                     .dns = ring("dns_events"),
                                                     .http = ring("http_events")}));
}

void Reconciler::TakeReport(const tables::WriteReport& report) {
  problems_.Set("tables", report.errors);
  for (const tables::MapReport& map : report.maps) {
    entries_[map.name] = map.entries;
    peaks_.Count(map.name, map.entries);
  }
}

tables::ConntrackMaps Reconciler::ConntrackMaps() const {
  const load::Loaded& loaded = *datapath_.loaded();
  return {.ct4 = loaded.FindMap("ct4"), .ct6 = loaded.FindMap("ct6"),
          .ct4_old = loaded.FindMap("ct4_old"), .ct6_old = loaded.FindMap("ct6_old")};
}

void Reconciler::ReconcileServers() {
  // Before any configuration is in force the probes are answered all the same.
  const std::string address =
      in_force_ != nullptr
          ? in_force_->String("metrics-address")
          : std::get<std::string>(schema_->Find("metrics-address")->default_value);
  if (address == http_address_ || address.empty()) {
    if (address.empty()) http_.reset();
    problems_.Set("metrics", absl::OkStatus());
  } else {
    // The one in service stays until its successor serves; a failure is tried again by every step.
    auto server = report::HttpServer::Start({.address = address}, publisher_);
    problems_.Set("metrics", server.status());
    if (!server.ok()) return;
    http_ = *std::move(server);
  }
  http_address_ = address;
}

void Reconciler::CollectConntrack() {
  next_gc_ = Clock::now() + std::chrono::seconds(in_force_->Uint("ct-gc-interval"));
  tables::ConntrackMaps maps = ConntrackMaps();
  if (maps.ct4 == nullptr && maps.ct6 == nullptr) return;
  if (!jiffies_) {
    auto clock = kernel::JiffiesClock::Make();
    problems_.Set("conntrack", clock.status());
    if (!clock.ok()) return;
    jiffies_ = *std::move(clock);
  }
  absl::StatusOr<uint64_t> now = jiffies_->Now();
  absl::StatusOr<tables::GcReport> report =
      now.ok() ? tables::CollectConntrack(maps, *now) : absl::StatusOr<tables::GcReport>(now.status());
  problems_.Set("conntrack", report.status());
  if (!report.ok()) return;
  ++conntrack_.gc_runs;
  conntrack_.collected_total += report->total.deleted;
  conntrack_.entries = report->total.alive;
  conntrack_.last_gc_seconds = std::chrono::duration<double>(report->duration).count();
  TakeConntrack(*report);
}

void Reconciler::TakeConntrack(const tables::GcReport& report) {
  // What has expired took its room until now, so it counts for how full the map was.
  uint64_t alive[2] = {0, 0}, met[2] = {0, 0};
  for (const auto& [kind, counts] : report.kinds) {
    alive[kind.family == 6] += counts.alive;
    met[kind.family == 6] += counts.alive + counts.deleted;
  }
  for (const bool v6 : {false, true}) {
    const std::string map = v6 ? "ct6" : "ct4";
    entries_[map] = alive[v6];
    if (datapath_.loaded()->FindMap(map) != nullptr) peaks_.Count(map, met[v6]);
  }
}

Reconciler::Clock::time_point Reconciler::NextWake() const {
  Clock::time_point wake = Clock::now() + kPublishInterval;
  if (retry_at_) wake = std::min(wake, *retry_at_);
  return wake;
}

}  // namespace bonsai::control
