// SPDX-License-Identifier: Apache-2.0
// Several constants together that bring a dead thing.
#include <algorithm>
#include <set>
#include <utility>

#include "agent/base/status.h"
#include "agent/reachability/what_if_trial.h"

namespace bonsai::reachability {
namespace {

using constants::ConstantSet;
using object::ObjectSpec;

class Search {
 public:
  Search(const ObjectSpec& object, const ConstantSet& constants, Thing thing,
         const std::vector<std::string>& entries, const WhatIfLimits& limits)
      : object_(object), original_(constants), thing_(thing), entries_(entries), limits_(limits),
        candidates_(object), trial_(object, constants, entries) {}

  absl::StatusOr<Combination> Run() {
    ASSIGN_OR_RETURN(Liveness liveness, trial_.Run());
    if (!IsLive(liveness, thing_) && !Explained(liveness).referred) {
      return Combination{.analyses = trial_.analyses()};
    }
    for (bool moved = true; !IsLive(liveness, thing_) && moved;) {
      ASSIGN_OR_RETURN(moved, OpenOne(liveness));
    }
    Combination combination{.found = IsLive(liveness, thing_)};
    if (combination.found) {
      RETURN_IF_ERROR(LeaveOut());
      for (const uint32_t constant : changed_) {
        combination.changes.push_back(
            ChangeOf(object_, constant, Original(constant), trial_.Get(constant)));
      }
    }
    combination.analyses = trial_.analyses();
    return combination;
  }

 private:
  int64_t Original(uint32_t constant) const {
    return ValueOf(object_.constants[constant], original_);
  }
  Explanation Explained(const Liveness& liveness) const {
    return Explainer({object_, trial_.set(), liveness, entries_}).Of(thing_);
  }

  // Changes one constant so that a deciding place is none any more. False: no change does.
  absl::StatusOr<bool> OpenOne(Liveness& liveness) {
    const Explanation now = Explained(liveness);
    for (const Deciding& deciding : now.deciding) {
      for (const ConstantValue& constant : deciding.constants) {
        ASSIGN_OR_RETURN(const bool open, OpenBy(constant.constant, &deciding, liveness));
        if (open) return true;
      }
    }
    // A decision may rest on more than it names: see Deciding::constants.
    const std::vector<bool> read = candidates_.Read(liveness);
    for (uint32_t constant = 0; constant < read.size(); ++constant) {
      if (!read[constant]) continue;
      ASSIGN_OR_RETURN(const bool open, OpenBy(constant, nullptr, liveness));
      if (open) return true;
    }
    return false;
  }

  // `deciding`: what is to be opened; nullptr: all.
  absl::StatusOr<bool> OpenBy(uint32_t constant, const Deciding* deciding, Liveness& liveness) {
    if (!object_.constants[constant].is_integer) return false;
    const int64_t before = trial_.Get(constant);
    const auto values = candidates_.Of(constant, trial_.set(), liveness, limits_.values);
    for (const int64_t value : values) {
      // Values that led here are not gone back to, so that the search ends.
      if (used_.contains({constant, value})) continue;
      if (trial_.analyses() >= limits_.analyses) return false;
      trial_.Set(constant, value);
      ASSIGN_OR_RETURN(Liveness changed, trial_.Run());
      if (!IsLive(changed, thing_) && (deciding == nullptr || !IsOpen(*deciding, changed))) {
        trial_.Set(constant, before);
        continue;
      }
      used_.insert({{constant, before}, {constant, value}});
      if (std::find(changed_.begin(), changed_.end(), constant) == changed_.end()) {
        changed_.push_back(constant);
      }
      liveness = std::move(changed);
      return true;
    }
    return false;
  }

  // Whether the place still runs and does not keep the thing dead.
  bool IsOpen(const Deciding& deciding, const Liveness& liveness) const {
    const Place& place = deciding.place;
    if (!liveness.functions[place.function].live_slots[place.slot]) return false;
    if (deciding.kind == Deciding::Kind::kBranch) {
      const auto same = [&](const Decision& decision) {
        return decision.function == place.function && decision.slot == place.slot &&
               decision.taken == deciding.taken;
      };
      return std::none_of(liveness.decisions.begin(), liveness.decisions.end(), same);
    }
    const Explanation then = Explained(liveness);
    return std::none_of(then.deciding.begin(), then.deciding.end(), [&](const Deciding& other) {
      return other.place.function == place.function && other.place.slot == place.slot;
    });
  }

  // Drops changes that the others do not need.
  absl::Status LeaveOut() {
    for (size_t i = changed_.size(); i-- > 0 && changed_.size() > 1;) {
      const uint32_t constant = changed_[i];
      const int64_t value = trial_.Get(constant);
      trial_.Set(constant, Original(constant));
      ASSIGN_OR_RETURN(const Liveness liveness, trial_.Run());
      if (IsLive(liveness, thing_)) {
        changed_.erase(changed_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        trial_.Set(constant, value);
      }
    }
    return absl::OkStatus();
  }

  const ObjectSpec& object_;
  const ConstantSet& original_;
  const Thing thing_;
  const std::vector<std::string>& entries_;
  const WhatIfLimits limits_;
  const Candidates candidates_;
  Trial trial_;
  std::vector<uint32_t> changed_;                // constants
  std::set<std::pair<uint32_t, int64_t>> used_;  // with their values
};

}  // namespace

absl::StatusOr<Combination> Bring(const ObjectSpec& object, const ConstantSet& constants,
                                  Thing thing, const std::vector<std::string>& entries,
                                  const WhatIfLimits& limits) {
  return Search(object, constants, thing, entries, limits).Run();
}

}  // namespace bonsai::reachability
