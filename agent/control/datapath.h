// SPDX-License-Identifier: Apache-2.0
// The datapath as control sees it: settings and node facts in, a running generation out. The steps
// of DESIGN.md section 2 in their order; everything before Apply is pure. Used by the reconciler
// thread alone.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/attach/attached.h"
#include "agent/control/options.h"
#include "agent/kernel/features.h"
#include "agent/kernel/node_facts.h"
#include "agent/load/loaded.h"
#include "agent/object/object_spec.h"
#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"

namespace bonsai::control {

// Seconds by stage of the last change.
using StageSeconds = std::map<std::string, double>;

class Datapath {
 public:
  // Reads the objects and what this kernel can do. InvalidArgument: an object is missing or broken;
  // FailedPrecondition: the kernel cannot run it.
  static absl::StatusOr<Datapath> Open(const Options& options);

  // xdp, from_pod, to_pod and from_netdev.bpf.o of a directory.
  static absl::StatusOr<std::vector<object::ObjectSpec>> ReadObjects(const std::string& directory);
  // The schema of all settings: the agent's own and the objects' constants.
  static absl::StatusOr<settings::Schema> MakeSchema(
      const std::vector<object::ObjectSpec>& objects);
  // Detaches and unpins everything of ours below a pin root. Needs no running agent.
  static absl::Status Uninstall(const std::string& bpf_root);

  // What these settings make of the objects. Pure.
  absl::StatusOr<plan::LoadPlan> Plan(const settings::Settings& settings,
                                      const kernel::NodeFacts& node) const;

  // Fills the maps of a generation that nothing is attached to yet.
  using Fill = std::function<absl::Status(const plan::LoadPlan&, const load::Loaded&)>;

  struct Applied {
    bool new_generation = false;  // false: only attachments changed, or nothing
    StageSeconds seconds;
  };
  // Brings the plan for these settings into force: load, fill, attach, commit. When the programs in
  // force are already those of the plan, only devices are attached and detached. On an error all is
  // as before, and it says where the change failed (base::PlaceOf). `stage` names the stage that
  // failed: "plan", "load", "tables" or "attach".
  absl::StatusOr<Applied> Apply(const settings::Settings& settings, const kernel::NodeFacts& node,
                                const Fill& fill, std::string& stage);

  // Attaches what devices have come or what someone else has detached, and tries again what of the
  // last change could not be brought to its end (warnings). Needs an earlier Apply.
  absl::Status Reattach(const settings::Settings& settings, const kernel::NodeFacts& node);

  // The devices of a role, by interface index.
  static std::set<uint32_t> Uplinks(const settings::Settings& settings,
                                    const kernel::NodeFacts& node);
  static std::set<uint32_t> PodDevices(const settings::Settings& settings,
                                       const kernel::NodeFacts& node);

  const kernel::Features& features() const { return features_; }
  // Null before the first Apply.
  const load::Loaded* loaded() const { return loaded_.get(); }
  // As it was carried out: what a verifier brought back counts as created.
  std::shared_ptr<const plan::LoadPlan> plan() const { return plan_; }
  std::vector<attach::Attachment> attachments() const { return attached_.attachments(); }
  const std::vector<std::string>& warnings() const { return warnings_; }

  const std::vector<object::ObjectSpec>& objects() const { return objects_; }

 private:
  Datapath(const Options& options, std::vector<object::ObjectSpec> objects,
           kernel::Features features, plan::CostFacts costs, attach::Attached attached,
           base::UniqueFd lock);

  void TakePlan(plan::LoadPlan plan);
  absl::StatusOr<std::unique_ptr<load::Loaded>> Load(const plan::LoadPlan& plan) const;
  absl::Status Attach(const settings::Settings& settings, const kernel::NodeFacts& node,
                      const load::Loaded& loaded);
  void Commit();
  void GiveUp(std::unique_ptr<load::Loaded> loaded);
  static std::vector<attach::Target> Targets(const settings::Settings& settings,
                                             const kernel::NodeFacts& node);

  base::UniqueFd lock_;  // of the pin root: there is one agent
  std::string bpf_root_;
  std::vector<object::ObjectSpec> objects_;
  kernel::Features features_;
  plan::CostFacts costs_;
  plan::LoadPlan planned_;  // of the generation in force, before any retry
  std::shared_ptr<const plan::LoadPlan> plan_;
  std::unique_ptr<load::Loaded> loaded_;
  bool commit_pending_ = false;  // loaded_ serves, but its pins are not all in their places
  // Given up while some device still runs them; they go when none does.
  std::vector<std::unique_ptr<load::Loaded>> stranded_;
  attach::Attached attached_;
  std::vector<std::string> warnings_;
};

}  // namespace bonsai::control
