// SPDX-License-Identifier: Apache-2.0
#include "agent/control/analyses.h"

#include <algorithm>
#include <utility>

#include "agent/base/status.h"
#include "agent/reachability/liveness.h"

namespace bonsai::control {
namespace {

absl::StatusOr<plan::AnalyzedObject> Analyse(const object::ObjectSpec& spec,
                                             constants::ConstantSet constants) {
  ASSIGN_OR_RETURN(reachability::Liveness liveness, reachability::Analyze(spec, constants));
  return plan::AnalyzedObject{&spec, std::move(constants), std::move(liveness)};
}

}  // namespace

absl::StatusOr<Analyses::Verdict> Analyses::Get(const object::ObjectSpec& spec,
                                                constants::ConstantSet constants, bool explained) {
  std::lock_guard lock(mutex_);
  std::list<Kept>& kept = kept_[spec.name];
  const auto known = std::find_if(kept.begin(), kept.end(), [&](const Kept& each) {
    return each.verdict->spec == &spec && each.verdict->constants.sections == constants.sections;
  });
  if (known != kept.end()) {
    kept.splice(kept.begin(), kept, known);
  } else {
    ASSIGN_OR_RETURN(plan::AnalyzedObject made, Analyse(spec, std::move(constants)));
    kept.push_front({std::make_shared<const plan::AnalyzedObject>(std::move(made))});
    if (kept.size() > kMostKept) kept.pop_back();
  }
  if (explained && !kept.front().explained) {
    plan::AnalyzedObject told = *kept.front().verdict;
    reachability::Explain(spec, told.constants, told.liveness);
    kept.front() = {std::make_shared<const plan::AnalyzedObject>(std::move(told)), true};
  }
  return kept.front().verdict;
}

}  // namespace bonsai::control
