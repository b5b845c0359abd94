// SPDX-License-Identifier: Apache-2.0
// The retry ladder: what one object is loaded without, and what comes back when a verifier walks
// into a part that was cut. Pure.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/plan/load_plan.h"

namespace bonsai::load {

// Something that was cut, that a verifier walked into all the same, and that was kept therefore.
struct Retry {
  enum class Kind : uint8_t { kMap, kFunction, kEverything };
  Kind kind = Kind::kMap;
  std::string object;
  std::string name;    // of the map (a data section's: of the section) or function
  std::string detail;  // the verifier's line
};

// "object from_pod: map ct4 was kept although nothing should reach it: BPF map 'ct4' is ...".
std::string ToString(const Retry& retry);

class Ladder {
 public:
  // Parts of one object that come back one by one. Beyond, engine and kernel disagree altogether,
  // and the object is loaded once more with nothing cut.
  static constexpr int kSingleSteps = 8;

  explicit Ladder(const plan::ObjectPlan& object);  // borrowed

  const std::set<std::string>& skip_maps() const { return maps_; }
  // Indices into ObjectPlan::neutralised.
  const std::set<uint32_t>& neutralised() const { return functions_; }
  int steps() const { return steps_; }  // taken so far

  // Brings back what `refusal` is about; nothing when it is about no part that is still cut. Each
  // step leaves less to cut, so that there are at most kSingleSteps + 1.
  std::optional<Retry> Climb(const absl::Status& refusal);

 private:
  std::optional<Retry> FindCulprit(const std::string& verifier_log) const;

  const plan::ObjectPlan& object_;
  std::set<std::string> maps_;
  std::set<uint32_t> functions_;
  int steps_ = 0;
};

// The plan as it was carried out: what came back is no longer called skipped or neutralised.
plan::LoadPlan CarriedOut(plan::LoadPlan plan, const std::vector<Retry>& retries);

}  // namespace bonsai::load
