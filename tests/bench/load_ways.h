// SPDX-License-Identifier: Apache-2.0
// The shipped datapath on its way into the kernel, in three ways: pruned as the agent does it,
// everything as it stands, and twice with what the kernel kept read back in between.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/plan/load_plan.h"
#include "agent/settings/settings.h"

namespace bonsai::bench {

enum class Way { kPruned, kEverything, kTwice };

struct Cost {
  double cpu = 0;      // seconds of the thread, which the verifier's work is part of
  double wall = 0;     // seconds
  double analysis = 0; // part of `cpu`: constants, engine and plan; kPruned alone
  uint64_t maps = 0;   // that exist in the end
};

class Loading {
 public:
  static absl::StatusOr<Loading> Make();
  // Loads the objects and lets go of them again. Needs root.
  absl::StatusOr<Cost> Measure(const settings::RawSettings& raw, Way way) const;

 private:
  struct Prepared {
    settings::Settings settings;
    std::vector<constants::ConstantSet> constants;  // parallel to objects_
  };
  absl::StatusOr<Prepared> Prepare(const settings::RawSettings& raw) const;
  absl::Status Pruned(const Prepared& prepared, Cost& cost) const;

  std::vector<object::ObjectSpec> objects_;
  settings::Schema schema_;
  plan::CostFacts facts_;
};

// Settings with which next to nothing is left, those as shipped, and those with every toggle on.
struct Row {
  const char* name;
  settings::RawSettings raw;
};
std::vector<Row> Rows();

}  // namespace bonsai::bench
