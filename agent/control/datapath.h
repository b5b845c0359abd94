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
#include "agent/control/analyses.h"
#include "agent/control/options.h"
#include "agent/kernel/features.h"
#include "agent/kernel/node_facts.h"
#include "agent/load/loaded.h"
#include "agent/object/object_spec.h"
#include "agent/plan/inputs.h"
#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"

namespace bonsai::control {

// Seconds by stage of the last change: "plan", "check" (of sizes), "load", "tables", "attach"; and
// when the change was in force, "release" (of the generation before) and "migrate" (the rest of
// conntrack, and the generation that knows the new table alone).
using StageSeconds = std::map<std::string, double>;

class Datapath {
 public:
  // Reads the objects and what this kernel can do. InvalidArgument: an object is missing or broken;
  // FailedPrecondition: the kernel cannot run it.
  static absl::StatusOr<Datapath> Open(const Options& options);

  // xdp, from_pod, to_pod, from_netdev and life.bpf.o of a directory.
  static absl::StatusOr<std::vector<object::ObjectSpec>> ReadObjects(const std::string& directory);
  // The schema of all settings: the agent's own and the objects' constants.
  static absl::StatusOr<settings::Schema> MakeSchema(
      const std::vector<object::ObjectSpec>& objects);

  // What these settings make of the objects, with the reasons. Pure.
  absl::StatusOr<plan::LoadPlan> Plan(const settings::Settings& settings,
                                      const kernel::NodeFacts& node) const;

  // Fills the maps of a generation that nothing is attached to yet.
  using Fill = std::function<absl::Status(const plan::LoadPlan&, const load::Loaded&)>;

  struct Applied {
    bool new_generation = false;  // false: only attachments changed, or nothing
    // The settings are in force, but conntrack still uses tables of both sizes, for this reason;
    // the next Apply goes on from there. Else OK.
    absl::Status unfinished;
    StageSeconds seconds;
  };
  // Brings the plan for these settings into force: load, fill, attach, commit. When the programs in
  // force are already those of the plan, only devices are attached and detached. On an error all is
  // as before, and it says where the change failed (base::PlaceOf). `stage` names the stage that
  // failed: "plan", "migrate", "load", "tables" or "attach".
  //
  // Conntrack goes to another size in two generations (ADR 0014): one whose programs look into both
  // tables, in force when the settings are; and when all entries have moved, one that knows the new
  // table alone. A size below what is in use is refused: FailedPrecondition, with the numbers.
  absl::StatusOr<Applied> Apply(const settings::Settings& settings, const kernel::NodeFacts& node,
                                const Fill& fill, std::string& stage);

  // Attaches what devices have come or what someone else has detached, and tries again what of the
  // last change could not be brought to its end (warnings). Needs an earlier Apply.
  absl::Status Reattach(const settings::Settings& settings, const kernel::NodeFacts& node);

  // Whether a stage comes when the change is in force.
  static bool IsAfterwards(const std::string& stage) {
    return stage == "release" || stage == "migrate";
  }

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
  // Maps that an earlier agent left with another layout, and that began empty therefore.
  const std::vector<std::string>& lost() const { return lost_; }

  const std::vector<object::ObjectSpec>& objects() const { return *objects_; }
  // What plans are made from on this node, for readers to make some of their own.
  plan::Inputs Inputs(std::shared_ptr<const settings::Schema> schema,
                      const kernel::NodeFacts& node) const;

 private:
  Datapath(const Options& options, std::vector<object::ObjectSpec> objects,
           kernel::Features features, plan::CostFacts costs, attach::Attached attached,
           base::UniqueFd lock);

  // The maps that the next generation may share or copy.
  struct Predecessor {
    std::map<std::string, kernel::BpfMap> pinned;  // of an earlier agent, when `maps` is about them
    load::ExistingMaps maps;
    load::Conversions conversions;                 // of maps whose layout was another
    std::vector<std::string> lost;                 // what starts empty for that reason
  };
  // One change on its way.
  struct Change {
    const settings::Settings& settings;
    const kernel::NodeFacts& node;
    const Fill& fill;
    std::string& stage;
    Applied applied;
    load::Conversions conversions;
  };

  using Reasons = plan::Reasons;
  absl::StatusOr<plan::LoadPlan> Plan(const settings::Settings& settings,
                                      const kernel::NodeFacts& node, bool moving,
                                      Reasons reasons) const;
  constants::NodeConstants NodeConstants(const kernel::NodeFacts& node) const;
  void TakePlan(plan::LoadPlan plan);
  // Fills the reasons into the plan in force, once packets no longer wait for it.
  void TellReasons(const Change& change, bool moving);
  absl::StatusOr<Predecessor> FindPredecessor(const plan::LoadPlan& next) const;
  absl::Status CheckSizes(const load::ExistingMaps& maps, const plan::LoadPlan& next,
                          std::string& stage) const;
  absl::Status Install(plan::LoadPlan plan, const load::ExistingMaps& existing, Change& change);
  absl::Status StartMove(const load::ExistingMaps& existing, Change& change);
  absl::Status FinishMove(plan::LoadPlan next, Change& change);
  absl::Status Attach(const settings::Settings& settings, const kernel::NodeFacts& node,
                      const load::Loaded& loaded);
  void Commit();
  void GiveUp(std::unique_ptr<load::Loaded> loaded);
  static std::vector<attach::Target> Targets(const settings::Settings& settings,
                                             const kernel::NodeFacts& node);

  base::UniqueFd lock_;  // of the pin root: there is one agent
  std::string bpf_root_;
  std::shared_ptr<const std::vector<object::ObjectSpec>> objects_;  // shared with readers
  std::unique_ptr<Analyses> analyses_ = std::make_unique<Analyses>();
  kernel::Features features_;
  plan::CostFacts costs_;
  plan::LoadPlan planned_;  // of the generation in force, before any retry
  std::map<std::string, settings::Value> planned_for_;  // settings of planned_; empty: plan anew
  std::shared_ptr<const plan::LoadPlan> plan_;
  std::unique_ptr<load::Loaded> loaded_;
  bool commit_pending_ = false;  // loaded_ serves, but its pins are not all in their places
  // Given up while some device still runs them; they go when none does.
  std::vector<std::unique_ptr<load::Loaded>> stranded_;
  attach::Attached attached_;
  std::vector<std::string> warnings_, lost_;
};

}  // namespace bonsai::control
