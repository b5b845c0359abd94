// SPDX-License-Identifier: Apache-2.0
#include "agent/control/datapath.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "agent/base/status.h"
#include "agent/constants/constant_set.h"
#include "agent/kernel/bpffs.h"
#include "agent/load/pins.h"

namespace bonsai::control {
namespace {

// The datapath's objects. Each but life has one entry program, for the hook of the same name; those
// of life are run by the agent (LifeRunner).
constexpr const char* kObjects[] = {"xdp", "from_pod", "to_pod", "from_netdev", "life"};

bool Matches(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

bool IsUplink(const settings::Settings& settings, const kernel::NodeFacts& node,
              const kernel::Link& link) {
  const std::vector<std::string>& patterns = settings.List("uplink-devices");
  if (!patterns.empty()) return Matches(patterns, link.name);
  const auto& defaults = node.default_route_ifindexes;
  return std::find(defaults.begin(), defaults.end(), link.ifindex) != defaults.end();
}

}  // namespace

Datapath::Datapath(const Options& options, std::vector<object::ObjectSpec> objects,
                   kernel::Features features, plan::CostFacts costs, attach::Attached attached,
                   base::UniqueFd lock)
    : lock_(std::move(lock)),
      bpf_root_(options.bpf_root),
      objects_(std::make_shared<const std::vector<object::ObjectSpec>>(std::move(objects))),
      features_(std::move(features)),
      costs_(costs),
      attached_(std::move(attached)) {}

absl::StatusOr<std::vector<object::ObjectSpec>> Datapath::ReadObjects(const std::string& directory) {
  std::vector<object::ObjectSpec> objects;
  for (const std::string name : kObjects) {
    const std::string path = directory + "/" + name + ".bpf.o";
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
      return base::NotFound("reading the datapath: {} does not exist; --bpf-dir must name the "
                            "directory of the *.bpf.o files", path);
    }
    ASSIGN_OR_RETURN(object::ObjectSpec spec, object::Read(path));
    objects.push_back(std::move(spec));
  }
  return objects;
}

absl::StatusOr<settings::Schema> Datapath::MakeSchema(
    const std::vector<object::ObjectSpec>& objects) {
  return plan::MakeSchema(objects);
}

absl::StatusOr<Datapath> Datapath::Open(const Options& options) {
  ASSIGN_OR_RETURN(auto objects, ReadObjects(options.bpf_dir));
  ASSIGN_OR_RETURN(kernel::Features features, kernel::Probe());
  RETURN_IF_ERROR(kernel::EnsureBpffs());
  ASSIGN_OR_RETURN(base::UniqueFd lock, kernel::LockPinDir(options.bpf_root));
  ASSIGN_OR_RETURN(auto attached, attach::Attached::AdoptExisting(
                                      {.root = options.bpf_root, .use_tcx = features.tcx}));
  return Datapath(options, std::move(objects), std::move(features), plan::GatherCostFacts(),
                  std::move(attached), std::move(lock));
}

absl::StatusOr<plan::LoadPlan> Datapath::Plan(const settings::Settings& settings,
                                              const kernel::NodeFacts& node) const {
  return Plan(settings, node, /*moving=*/false, Reasons::kExplained);
}

absl::StatusOr<plan::LoadPlan> Datapath::Plan(const settings::Settings& settings,
                                              const kernel::NodeFacts& node, bool moving,
                                              Reasons reasons) const {
  constants::NodeConstants facts = NodeConstants(node);
  facts["ct_moving"] = moving;
  std::vector<plan::AnalyzedObject> analyzed;
  for (const object::ObjectSpec& spec : *objects_) {
    ASSIGN_OR_RETURN(constants::ConstantSet set, constants::Resolve(settings, facts, spec));
    constants::ConstantSet values = set;
    ASSIGN_OR_RETURN(const Analyses::Verdict verdict,
                     analyses_->Get(spec, std::move(set), reasons == Reasons::kExplained));
    analyzed.push_back({&spec, std::move(values), verdict->liveness});
  }
  return plan::Make(analyzed, settings, costs_);
}

constants::NodeConstants Datapath::NodeConstants(const kernel::NodeFacts& node) const {
  return {{"kernel_hz", node.kernel_hz}, {"kernel_has_loop", features_.loop}};
}

plan::Inputs Datapath::Inputs(std::shared_ptr<const settings::Schema> schema,
                              const kernel::NodeFacts& node) const {
  return {.objects = objects_, .schema = std::move(schema), .node = NodeConstants(node),
          .costs = costs_, .missing_map_types = features_.missing_map_types};
}

std::set<uint32_t> Datapath::Uplinks(const settings::Settings& settings,
                                     const kernel::NodeFacts& node) {
  std::set<uint32_t> uplinks;
  for (const kernel::Link& link : node.links) {
    if (!link.loopback && IsUplink(settings, node, link)) uplinks.insert(link.ifindex);
  }
  return uplinks;
}

std::set<uint32_t> Datapath::PodDevices(const settings::Settings& settings,
                                        const kernel::NodeFacts& node) {
  // A device that is both, by its name a pod's and by its route an uplink, is an uplink.
  const std::set<uint32_t> uplinks = Uplinks(settings, node);
  std::set<uint32_t> devices;
  for (const kernel::Link& link : node.links) {
    const bool taken = link.loopback || uplinks.contains(link.ifindex);
    if (!taken && Matches(settings.List("pod-devices"), link.name)) devices.insert(link.ifindex);
  }
  return devices;
}

std::vector<attach::Target> Datapath::Targets(const settings::Settings& settings,
                                              const kernel::NodeFacts& node) {
  const std::set<uint32_t> uplinks = Uplinks(settings, node);
  const std::set<uint32_t> pods = PodDevices(settings, node);
  std::vector<attach::Target> targets;
  for (const kernel::Link& link : node.links) {
    if (uplinks.contains(link.ifindex)) {
      targets.push_back({link.name, link.ifindex, HOOK_XDP});
      targets.push_back({link.name, link.ifindex, HOOK_FROM_NETDEV});
    } else if (pods.contains(link.ifindex)) {
      targets.push_back({link.name, link.ifindex, HOOK_FROM_POD});
      targets.push_back({link.name, link.ifindex, HOOK_TO_POD});
    }
  }
  return targets;
}

absl::Status Datapath::Attach(const settings::Settings& settings, const kernel::NodeFacts& node,
                              const load::Loaded& loaded) {
  ASSIGN_OR_RETURN(attach::Outcome outcome, attached_.Upsert(Targets(settings, node),
                                                             attach::EntryPrograms(loaded)));
  warnings_ = std::move(outcome.warnings);
  std::erase_if(stranded_, [&](const std::unique_ptr<load::Loaded>& each) {
    return !attached_.RunsAnyOf(attach::EntryPrograms(*each));
  });
  return absl::OkStatus();
}

// The new generation serves already. A pin that cannot be moved now only costs a restarted agent the
// state of that map, so it is a warning, tried again with the next look at the devices, and not a
// way back.
void Datapath::Commit() {
  const absl::Status committed = loaded_->Commit();
  commit_pending_ = !committed.ok();
  if (commit_pending_) warnings_.push_back(base::Message(committed));
}

void Datapath::TakePlan(plan::LoadPlan plan) {
  plan_ = std::make_shared<const plan::LoadPlan>(load::CarriedOut(plan, loaded_->retries()));
  planned_ = std::move(plan);
}

absl::Status Datapath::Reattach(const settings::Settings& settings,
                                const kernel::NodeFacts& node) {
  RETURN_IF_ERROR(Attach(settings, node, *loaded_));
  if (commit_pending_) Commit();
  return absl::OkStatus();
}

// A device that could not be put back, or be detached, runs on with a generation that is given up.
void Datapath::GiveUp(std::unique_ptr<load::Loaded> loaded) {
  if (!attached_.RunsAnyOf(attach::EntryPrograms(*loaded))) return;
  loaded->KeepStagedPins();
  stranded_.push_back(std::move(loaded));
}

}  // namespace bonsai::control
