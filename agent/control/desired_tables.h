// SPDX-License-Identifier: Apache-2.0
// Desired state on its way into the maps: manifests are read, pods are found on the node, tables are
// built and written. Used by the reconciler thread alone.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/control/options.h"
#include "agent/kernel/node_facts.h"
#include "agent/kube/manifests.h"
#include "agent/load/loaded.h"
#include "agent/plan/load_plan.h"
#include "agent/report/snapshot.h"
#include "agent/settings/settings.h"
#include "agent/tables/table_builder.h"
#include "agent/tables/writer.h"

namespace bonsai::control {

class DesiredTables {
 public:
  explicit DesiredTables(const Options& options);

  // Reads the manifests again; `changed` when others are in force now. Returns what is wrong with
  // them, one line each; what was good before stays.
  std::vector<std::string> Refresh(bool& changed);

  // Whether every manifest has been read in a good version since the start. Until then what an
  // earlier agent left in the maps may be more than what is known here, and must not be taken away.
  bool complete() const { return complete_; }

  // Builds the tables for this node and settings. On an error the earlier ones stay.
  absl::Status Build(const kernel::NodeFacts& node, const settings::Settings& settings);

  // Writes them into the maps of a generation. `hold`: maps that come from an earlier generation
  // keep what manifests put there.
  tables::WriteReport Write(const plan::LoadPlan& plan, const load::Loaded& loaded, bool hold);

  // Sends established flows through policy again: after a change of settings that policy looks at.
  absl::Status RaisePolicyEpoch(const plan::LoadPlan& plan, const load::Loaded& loaded) const;

  // What the maps hold: the last tables that were written whole.
  const tables::Tables& tables() const { return *written_; }
  // What they shall hold.
  const tables::Tables& built() const { return *tables_; }
  const tables::DesiredState& state() const { return store_.state(); }
  // Pods without a device and the like: nothing to refuse, but worth knowing.
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::string& source() const { return source_; }
  report::WallTime synced() const { return synced_; }

 private:
  std::string node_name_, source_ = "none";
  kube::ManifestStore store_;
  tables::TableBuilder builder_;
  bool complete_ = false;
  std::shared_ptr<const tables::Tables> tables_ = std::make_shared<const tables::Tables>();
  std::shared_ptr<const tables::Tables> written_ = tables_;
  std::vector<std::string> warnings_;
  report::WallTime synced_;
};

}  // namespace bonsai::control
