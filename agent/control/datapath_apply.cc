// SPDX-License-Identifier: Apache-2.0
// A change of the datapath, from a plan to the generation in force.
#include <chrono>
#include <utility>

#include "agent/base/status.h"
#include "agent/control/datapath.h"
#include "agent/kernel/bpf_program.h"
#include "agent/load/carry.h"
#include "agent/load/layouts.h"
#include "agent/load/pins.h"
#include "agent/plan/reload_class.h"
#include "agent/tables/conntrack_gc.h"
#include "agent/tables/conntrack_move.h"

namespace bonsai::control {
namespace {

class Stopwatch {
 public:
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Conntrack tables, and what a generation that looks into both calls the earlier ones.
constexpr std::pair<const char*, const char*> kMoving[] = {{"ct4", "ct4_old"}, {"ct6", "ct6_old"}};

bool IsConntrack(const std::string& map) { return map == "ct4" || map == "ct6"; }

const kernel::BpfMap* Find(const load::ExistingMaps& maps, const std::string& name) {
  const auto found = maps.find(name);
  return found == maps.end() ? nullptr : found->second;
}

// What exists, as a plan would say it.
plan::LoadPlan AsPlan(const load::ExistingMaps& maps) {
  plan::LoadPlan plan;
  for (const auto& [name, map] : maps) {
    const kernel::MapInfo& info = map->info();
    plan.maps.push_back({.name = name, .type = info.type, .key_size = info.key_size,
                         .value_size = info.value_size, .max_entries = info.max_entries,
                         .create = true});
  }
  return plan;
}

bool MovesConntrack(const load::ExistingMaps& existing, const plan::LoadPlan& next) {
  for (const plan::Resize& resize : plan::Resizes(AsPlan(existing), next)) {
    if (IsConntrack(resize.map)) return true;
  }
  return false;
}

// Entries that only the earlier tables have go into the new ones, where both exist.
absl::Status MoveEntries(const load::ExistingMaps& maps) {
  for (const auto& [name, old_name] : kMoving) {
    const kernel::BpfMap* from = Find(maps, old_name);
    const kernel::BpfMap* to = Find(maps, name);
    if (from == nullptr || to == nullptr) continue;
    RETURN_IF_ERROR(tables::MoveConntrack(*from, *to).status());
  }
  return absl::OkStatus();
}

// Expired entries are not in use. A kernel without a clock for us lets them count.
absl::Status CollectExpired(const load::ExistingMaps& maps) {
  auto clock = kernel::JiffiesClock::Make();
  if (!clock.ok()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint64_t now, clock->Now());
  return tables::CollectConntrack({.ct4 = Find(maps, "ct4"), .ct6 = Find(maps, "ct6")}, now)
      .status();
}

}  // namespace

absl::StatusOr<Datapath::Predecessor> Datapath::FindPredecessor(
    const plan::LoadPlan& next) const {
  Predecessor found;
  if (loaded_ != nullptr) {
    found.maps = loaded_->Shareable();
    return found;
  }
  ASSIGN_OR_RETURN(found.pinned, load::OpenPinnedMaps(bpf_root_));
  for (const auto& [name, map] : found.pinned) found.maps[name] = &map;
  ASSIGN_OR_RETURN(const load::Layouts layouts, load::ReadLayouts(bpf_root_));
  found.lost = load::SetUnlikeApart(next, layouts, load::KnownMigrations(), found.maps,
                                    found.conversions);
  return found;
}

absl::Status Datapath::CheckSizes(const load::ExistingMaps& maps, const plan::LoadPlan& next,
                                  std::string& stage) const {
  const plan::LoadPlan running = AsPlan(maps);
  plan::EntriesInUse connections, tables;
  for (const plan::Resize& resize : plan::Resizes(running, next)) {
    const kernel::BpfMap& map = *maps.at(resize.map);
    if (resize.to >= resize.from || !load::CanCarry(map.info().type)) continue;
    // Arrays are full by their nature. Those that shrink are counters by number: the ones beyond the end
    // are of a later version, which knew more reasons.
    if (load::IsArray(map.info().type)) continue;
    if (IsConntrack(resize.map)) RETURN_IF_ERROR(CollectExpired(maps));
    plan::EntriesInUse& in_use = IsConntrack(resize.map) ? connections : tables;
    ASSIGN_OR_RETURN(in_use[resize.map], map.CountEntries());
  }
  RETURN_IF_ERROR(plan::CheckFits(running, next, connections, costs_.possible_cpus));
  stage = "tables";  // what manifests ask for, not what packets have brought
  return plan::CheckFits(running, next, tables, costs_.possible_cpus);
}

absl::Status Datapath::Install(plan::LoadPlan plan, const load::ExistingMaps& existing,
                               Change& change) {
  StageSeconds& seconds = change.applied.seconds;
  Stopwatch watch;
  change.stage = "load";
  const load::Options options{.root = bpf_root_,
                              .conversions = std::move(change.conversions),
                              .memory_measurable = features_.map_mem_usage};
  ASSIGN_OR_RETURN(load::Loaded made, load::Execute(plan, existing, options));
  auto loaded = std::make_unique<load::Loaded>(std::move(made));
  seconds["load"] += watch.Lap();
  change.stage = "tables";
  RETURN_IF_ERROR(change.fill(plan, *loaded));
  seconds["tables"] += watch.Lap();
  change.stage = "attach";
  if (absl::Status attached = Attach(change.settings, change.node, *loaded); !attached.ok()) {
    GiveUp(std::move(loaded));
    return attached;
  }
  seconds["attach"] += watch.Lap();
  // The earlier generation goes when its pins have gone, unless a device could not be detached.
  std::unique_ptr<load::Loaded> earlier = std::exchange(loaded_, std::move(loaded));
  Commit();
  if (earlier != nullptr) GiveUp(std::move(earlier));
  earlier.reset();
  seconds["release"] += watch.Lap();
  change.applied.new_generation = true;
  TakePlan(std::move(plan));
  return absl::OkStatus();
}

// A generation that looks into the tables of both sizes. Its own are empty at first.
absl::Status Datapath::StartMove(const load::ExistingMaps& existing, Change& change) {
  ASSIGN_OR_RETURN(plan::LoadPlan plan, Plan(change.settings, change.node, /*moving=*/true,
                                             Reasons::kNone));
  load::ExistingMaps renamed = existing;
  for (const auto& [name, old_name] : kMoving) {
    const kernel::BpfMap* map = Find(existing, name);
    if (map == nullptr) continue;
    renamed.erase(name);
    renamed[old_name] = map;
    for (plan::MapPlan& planned : plan.maps) {
      if (planned.name == old_name) planned.max_entries = map->info().max_entries;
    }
  }
  return Install(std::move(plan), renamed, change);
}

// Commit has waited for the last packet inside an earlier program, so that from now on every
// program looks into both tables and enters what is new into both.
absl::Status Datapath::FinishMove(plan::LoadPlan next, Change& change) {
  RETURN_IF_ERROR(MoveEntries(loaded_->Shareable()));
  return Install(std::move(next), loaded_->Shareable(), change);
}

void Datapath::TellReasons(const Change& change, bool moving) {
  if (!moving) planned_for_ = change.settings.values();
  auto told = Plan(change.settings, change.node, moving, Reasons::kExplained);
  if (!told.ok()) return;  // the same plan has just been made without
  for (plan::MapPlan& map : told->maps) map.max_entries = planned_.FindMap(map.name)->max_entries;
  TakePlan(*std::move(told));
}

absl::StatusOr<Datapath::Applied> Datapath::Apply(const settings::Settings& settings,
                                                  const kernel::NodeFacts& node, const Fill& fill,
                                                  std::string& stage) {
  Change change{settings, node, fill, stage, {}, {}};
  Stopwatch watch;
  if (loaded_ != nullptr && planned_for_ == settings.values()) {
    stage = "attach";  // devices came or went
    RETURN_IF_ERROR(Reattach(settings, node));
    change.applied.seconds["attach"] = watch.Lap();
    return change.applied;
  }
  planned_for_.clear();
  stage = "plan";
  ASSIGN_OR_RETURN(plan::LoadPlan next, Plan(settings, node, /*moving=*/false, Reasons::kNone));
  change.applied.seconds["plan"] = watch.Lap();
  if (loaded_ != nullptr && plan::ClassOfChange(planned_, next) == plan::ReloadClass::kLive) {
    stage = "attach";
    RETURN_IF_ERROR(Reattach(settings, node));
    change.applied.seconds["attach"] = watch.Lap();
    TakePlan(std::move(next));
    TellReasons(change, /*moving=*/false);
    return change.applied;
  }
  stage = "migrate";
  ASSIGN_OR_RETURN(Predecessor predecessor, FindPredecessor(next));
  change.conversions = std::move(predecessor.conversions);
  // What an earlier move left half-way, of this agent or of one before it.
  RETURN_IF_ERROR(MoveEntries(predecessor.maps));
  RETURN_IF_ERROR(CheckSizes(predecessor.maps, next, stage));
  if (!MovesConntrack(predecessor.maps, next)) {
    change.applied.seconds["check"] = watch.Lap();
    RETURN_IF_ERROR(Install(std::move(next), predecessor.maps, change));
    TellReasons(change, /*moving=*/false);
    lost_ = std::move(predecessor.lost);
    return change.applied;
  }
  change.applied.seconds["check"] = watch.Lap();
  RETURN_IF_ERROR(StartMove(predecessor.maps, change));
  lost_ = std::move(predecessor.lost);
  watch.Lap();
  // In force from here on; what is left takes nothing from any packet.
  StageSeconds first = change.applied.seconds;
  change.applied.unfinished = FinishMove(std::move(next), change);
  change.applied.seconds = std::move(first);
  TellReasons(change, /*moving=*/!change.applied.unfinished.ok());
  change.applied.seconds["migrate"] = watch.Lap();
  return change.applied;
}

}  // namespace bonsai::control
