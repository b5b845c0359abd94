// SPDX-License-Identifier: Apache-2.0
// Why a thing is used or not by one object; internal to plan/.
#pragma once

#include <string>
#include <vector>

#include "agent/plan/explain.h"
#include "agent/plan/explain_names.h"
#include "agent/plan/world.h"

namespace bonsai::plan {

ObjectAnswer AnswerFor(const World& world, const Spot& spot);

// The decided branches of an object that rest on constants and pass `wanted`; copies of one source
// line, which inlining makes, once. At most `limit`.
template <typename Wanted>
std::vector<reachability::Deciding> DecidedBranches(const AnalyzedObject& object, size_t limit,
                                                    const Wanted& wanted);

// A decision of an object, in words.
reachability::Deciding InWords(const AnalyzedObject& object,
                               const reachability::Decision& decision);
bool SameLine(const reachability::Place& a, const reachability::Place& b);

template <typename Wanted>
std::vector<reachability::Deciding> DecidedBranches(const AnalyzedObject& object, size_t limit,
                                                    const Wanted& wanted) {
  std::vector<reachability::Deciding> branches;
  for (const reachability::Decision& decision : object.liveness.decisions) {
    if (branches.size() == limit) break;
    if (decision.constants.empty() || !wanted(decision)) continue;
    reachability::Deciding branch = InWords(object, decision);
    bool known = false;
    for (const reachability::Deciding& other : branches) {
      known |= SameLine(other.place, branch.place) && other.taken == branch.taken;
    }
    if (!known) branches.push_back(std::move(branch));
  }
  return branches;
}

}  // namespace bonsai::plan
