// SPDX-License-Identifier: Apache-2.0
// The reconciler: the one thread that changes anything. It takes what the watchers report, brings
// the datapath in line with what is on disk, sweeps conntrack and publishes snapshots.
//
//   configuration, node facts -> Datapath (plan, load, attach)     <- all or nothing
//   manifests, node facts     -> DesiredTables (map contents)
//   what is in force          -> Publisher
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>

#include "agent/base/logging.h"
#include "agent/control/config_source.h"
#include "agent/control/datapath.h"
#include "agent/control/desired_tables.h"
#include "agent/control/inbox.h"
#include "agent/control/life_runner.h"
#include "agent/control/observe.h"
#include "agent/control/problems.h"
#include "agent/kernel/bpf_program.h"
#include "agent/report/flow_reader.h"
#include "agent/report/http_server.h"
#include "agent/report/snapshot.h"
#include "agent/tables/conntrack_gc.h"

namespace bonsai::control {

class Reconciler {
 public:
  // All references must outlive it.
  Reconciler(const Options& options, const settings::Schema& schema, Datapath datapath,
             Inbox& inbox, report::Publisher& publisher, report::FlowHub& hub,
             report::LifeDesk& life, base::Logger log);

  // Runs until `stop`. The datapath goes on afterwards.
  void Run(std::stop_token stop);

 private:
  using Clock = std::chrono::steady_clock;

  void Step(Events events);
  void Reconcile(Events events);
  void ReadNode();
  void ReadConfig();
  void ReadManifests();
  // Brings a new generation into force when the wanted settings or the node ask for one.
  void ReconcileDatapath();
  void Accept(const Datapath::Applied& applied);
  void Refuse(const std::string& code, const absl::Status& status);
  void RetryLater();
  void MarkDrift();
  void RaisePolicyEpoch();
  void ReconcileTables();
  bool Hold() const;
  std::vector<std::string> EndpointProblems() const;
  void CheckAttachments();
  void ReconcileFlowReader();
  void ReconcileLife();
  void TakeReport(const tables::WriteReport& report);
  void ReconcileServers();
  void CollectConntrack();
  void TakeConntrack(const tables::GcReport& report);
  tables::ConntrackMaps ConntrackMaps() const;
  Clock::time_point NextWake() const;

  // What readers shall see (observe_agent.cc).
  report::Snapshot Observe() const;
  void ObserveDatapath(report::Snapshot& snapshot) const;
  void ObserveCounters(report::Snapshot& snapshot) const;
  void ObserveTables(report::Snapshot& snapshot) const;

  const Options& options_;
  Inbox& inbox_;
  report::Publisher& publisher_;
  report::FlowHub& hub_;
  base::Logger log_;
  std::shared_ptr<const settings::Schema> schema_;

  ConfigSource config_;
  Problems problems_;
  Datapath datapath_;
  DesiredTables desired_;
  report::FlowReader flow_reader_;
  LifeRunner life_;
  std::unique_ptr<report::HttpServer> http_;
  std::string http_address_;                   // what http_ serves
  std::optional<kernel::JiffiesClock> jiffies_;

  std::optional<kernel::NodeFacts> node_;
  std::shared_ptr<const plan::Inputs> inputs_; // for readers' plans; null before node_
  std::optional<settings::Settings> wanted_;   // the last good configuration read
  bool wanted_changed_ = false;                // ... and has not been tried yet
  std::vector<std::string> refused_;           // what was wrong with the last one read
  std::shared_ptr<const settings::Settings> in_force_;  // null before the first generation
  bool tables_stale_ = true;
  bool live_change_ = false;                   // accepted in this step; its tables are not timed yet
  bool epoch_stale_ = false;                   // policy has not been told of the last generation
  bool life_stale_ = false;                    // the board does not run as the settings say
  bool flows_stale_ = false;                   // the flow reader reads an earlier generation's rings
  bool adopted_ = false;                       // the first generation took over an earlier agent's maps
  std::optional<Clock::time_point> retry_at_;  // after a generation was refused
  std::chrono::seconds retry_delay_{1};
  Clock::time_point next_gc_{}, next_check_{}, next_tables_{};
  report::ConfigurationState configuration_;
  report::ConntrackState conntrack_;
  std::map<std::string, uint64_t> entries_;    // by map, as last counted
  EntryPeaks peaks_;
  JitedBytes jited_;
  uint64_t load_retries_ = 0;
  const report::WallTime started_ = std::chrono::system_clock::now();
};

}  // namespace bonsai::control
