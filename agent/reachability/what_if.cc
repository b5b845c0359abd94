// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/what_if.h"

#include <algorithm>

#include "agent/base/status.h"
#include "agent/reachability/what_if_trial.h"
#include "agent/reachability/what_if_values.h"

namespace bonsai::reachability {
namespace {

using constants::ConstantSet;
using object::ObjectSpec;

// Appends what is alive in `to` and not in `from`.
void AddNew(const Liveness& from, const Liveness& to, std::vector<Thing>& things) {
  const auto add = [&](ThingKind kind, size_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      const Thing thing{kind, i};
      if (IsLive(to, thing) && !IsLive(from, thing)) things.push_back(thing);
    }
  };
  add(ThingKind::kMap, to.maps.size());
  add(ThingKind::kProgram, to.programs.size());
  add(ThingKind::kFunction, to.functions.size());
}

}  // namespace

absl::StatusOr<WhatIf> Alternatives(const ObjectSpec& object, const ConstantSet& constants,
                                    const std::vector<std::string>& entries,
                                    const WhatIfLimits& limits) {
  Trial trial(object, constants, entries);
  ASSIGN_OR_RETURN(const Liveness base, trial.Run());
  const Candidates candidates(object);
  const std::vector<bool> read = candidates.Read(base);
  WhatIf result;
  for (uint32_t i = 0; i < object.constants.size(); ++i) {
    if (!object.constants[i].is_integer) result.no_numbers.push_back(i);
    if (!read[i]) result.unread.push_back(i);
    if (!object.constants[i].is_integer || !read[i]) continue;
    for (const int64_t value : candidates.Of(i, constants, base, limits.values)) {
      ASSIGN_OR_RETURN(const Liveness changed, trial.RunWith(i, value));
      Outcomes outcomes{.change = ChangeOf(object, i, trial.Get(i), value)};
      AddNew(changed, base, outcomes.gone);
      AddNew(base, changed, outcomes.come);
      result.changes.push_back(std::move(outcomes));
    }
  }
  result.analyses = trial.analyses();
  return result;
}

Change ChangeOf(const ObjectSpec& object, uint32_t constant, int64_t from, int64_t to) {
  const object::Constant& spec = object.constants[constant];
  const auto words = [&](int64_t value) -> std::string {
    if (spec.is_bool) return value != 0 ? "true" : "false";
    return spec.is_signed ? std::to_string(value) : std::to_string(static_cast<uint64_t>(value));
  };
  return {.constant = constant, .name = spec.name, .from = words(from), .to = words(to),
          .value = to};
}

std::vector<Change> Cutting(const WhatIf& alternatives, Thing thing) {
  std::vector<Change> changes;
  for (const Outcomes& outcomes : alternatives.changes) {
    if (std::binary_search(outcomes.gone.begin(), outcomes.gone.end(), thing)) {
      changes.push_back(outcomes.change);
    }
  }
  return changes;
}

std::vector<Change> Bringing(const WhatIf& alternatives, Thing thing) {
  std::vector<Change> changes;
  for (const Outcomes& outcomes : alternatives.changes) {
    if (std::binary_search(outcomes.come.begin(), outcomes.come.end(), thing)) {
      changes.push_back(outcomes.change);
    }
  }
  return changes;
}

}  // namespace bonsai::reachability
