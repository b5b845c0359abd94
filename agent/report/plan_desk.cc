// SPDX-License-Identifier: Apache-2.0
#include "agent/report/plan_desk.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"
#include "agent/kernel/bpf_program.h"
#include "agent/plan/change.h"
#include "agent/report/to_proto.h"
#include "agent/settings/text.h"
#include "agent/tables/conntrack_gc.h"

namespace bonsai::report {
namespace {

// How soon one who waits for a turn notices that nobody waits for the answer.
constexpr std::chrono::milliseconds kTick{50};

using Values = google::protobuf::Map<std::string, std::string>;

absl::Status Check(const Values& values) {
  if (values.size() > PlanDesk::kMostKeys) {
    return base::InvalidArgument("planning: {} keys are more than a configuration can have, which "
                                 "is {}", values.size(), PlanDesk::kMostKeys);
  }
  for (const auto& [key, value] : values) {
    if (key.size() <= PlanDesk::kLongestKey) continue;
    return base::InvalidArgument("planning: key {} is longer than {} characters",
                                 settings::Quote(key), PlanDesk::kLongestKey);
  }
  return absl::OkStatus();
}

absl::StatusOr<settings::RawSettings> Wanted(const Snapshot& snapshot,
                                             const v1::PlanChangeRequest& request) {
  RETURN_IF_ERROR(Check(request.configuration().values()));
  RETURN_IF_ERROR(Check(request.overrides()));
  settings::RawSettings wanted;
  if (request.has_configuration()) {
    const Values& values = request.configuration().values();
    wanted.insert(values.begin(), values.end());
  } else if (snapshot.settings != nullptr) {
    wanted = snapshot.settings->given();
  }
  for (const auto& [key, value] : request.overrides()) wanted[key] = value;
  return wanted;
}

plan::MapUses UsesOf(const Snapshot& snapshot) {
  plan::MapUses uses;
  for (const auto& [name, map] : snapshot.maps) {
    plan::MapUse& use = uses[name] = {.bytes = map.bytes};
    if (map.entries_known) use.entries = map.entries;
  }
  return uses;
}

// What a map holds now that is to become smaller: the last count may be as old as the last sweep.
// Expired connections are swept before the change, so they do not count.
void CountNow(const std::string& bpf_root, const plan::Change& change, plan::MapUses& uses) {
  auto clock = kernel::JiffiesClock::Make();
  const absl::StatusOr<uint64_t> now =
      clock.ok() ? clock->Now() : absl::StatusOr<uint64_t>(clock.status());
  for (const plan::MapChange& each : change.maps) {
    const auto use = uses.find(each.name);
    if (each.entries_after >= each.entries_before || use == uses.end()) continue;
    // Gone since, or of another kind: the last count stands.
    const auto map = kernel::BpfMap::OpenPinned(bpf_root + "/maps/" + each.name);
    if (!map.ok() || map->info().max_entries != each.entries_before) continue;
    const bool connections = each.name == "ct4" || each.name == "ct6";
    const auto count = connections && now.ok() ? tables::CountAlive(*map, *now) : map->CountEntries();
    if (count.ok()) use->second.entries = *count;
  }
}

bool Shrinks(const plan::Change& change) {
  return std::any_of(change.maps.begin(), change.maps.end(), [](const plan::MapChange& map) {
    return map.kind == plan::ChangeKind::kChanged && map.entries_after < map.entries_before;
  });
}

}  // namespace

// A turn, for as long as it lives.
class PlanDesk::Turn {
 public:
  explicit Turn(PlanDesk& desk) : desk_(desk) {}
  ~Turn() { desk_.Leave(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  PlanDesk& desk_;
};

absl::Status PlanDesk::Enter(const plan::Cancelled& cancelled) {
  std::unique_lock lock(mutex_);
  if (running_ >= kAtOnce && waiting_ >= kWaiting) {
    return absl::ResourceExhaustedError("planning: too many plans are asked for at once");
  }
  ++waiting_;
  while (running_ >= kAtOnce && !cancelled()) left_.wait_for(lock, kTick);
  --waiting_;
  if (running_ >= kAtOnce) return absl::CancelledError("planning: nobody waits for it");
  ++running_;
  return absl::OkStatus();
}

void PlanDesk::Leave() {
  {
    std::lock_guard lock(mutex_);
    --running_;
  }
  left_.notify_one();
}

absl::StatusOr<v1::PlanChangeResponse> PlanDesk::Change(const Snapshot& snapshot,
                                                        const v1::PlanChangeRequest& request,
                                                        const plan::Cancelled& cancelled) {
  ASSIGN_OR_RETURN(const settings::RawSettings wanted, Wanted(snapshot, request));
  if (snapshot.inputs == nullptr) return base::Unavailable("planning: the agent is starting");
  RETURN_IF_ERROR(Enter(cancelled));
  const Turn turn(*this);
  plan::Before before{.settings = snapshot.settings.get(), .plan = snapshot.plan.get(),
                      .maps = UsesOf(snapshot)};
  ASSIGN_OR_RETURN(plan::Change change,
                   plan::PlanChange(*snapshot.inputs, before, wanted, cancelled));
  if (!snapshot.bpf_root.empty() && Shrinks(change)) {
    CountNow(snapshot.bpf_root, change, before.maps);
    ASSIGN_OR_RETURN(change, plan::PlanChange(*snapshot.inputs, before, wanted, cancelled));
  }
  return ToPlan(change, snapshot.configuration.generation);
}

absl::StatusOr<PlanDesk::Costs> PlanDesk::FeatureCosts(const Snapshot& snapshot,
                                                       const plan::Cancelled& cancelled) {
  if (!snapshot.inputs || !snapshot.settings || !snapshot.plan) return Costs();
  const auto cached = [&] {
    std::lock_guard lock(mutex_);
    return cost_plan_ == snapshot.plan ? costs_ : Costs();
  };
  if (Costs costs = cached()) return costs;
  RETURN_IF_ERROR(Enter(cancelled));
  const Turn turn(*this);
  // Whoever had the turn before may have been asked the same.
  if (Costs costs = cached()) return costs;
  ASSIGN_OR_RETURN(auto made, plan::FeatureCosts(*snapshot.inputs, *snapshot.settings,
                                                 *snapshot.plan, UsesOf(snapshot), cancelled));
  Costs costs = std::make_shared<const std::vector<plan::FeatureCost>>(std::move(made));
  std::lock_guard lock(mutex_);
  cost_plan_ = snapshot.plan;
  costs_ = costs;
  return costs;
}

}  // namespace bonsai::report
