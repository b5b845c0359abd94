// SPDX-License-Identifier: Apache-2.0
// The shipped objects and what a node of two CPUs would tell, the same on any machine.
#pragma once

#include <gtest/gtest.h>

#include "agent/plan/change.h"
#include "agent/plan/inputs.h"

namespace bonsai::plan {

inline Inputs ShippedInputs() {
  absl::StatusOr<Inputs> inputs = ReadInputs(BONSAI_BPF_DIR);
  EXPECT_TRUE(inputs.ok()) << inputs.status();
  if (!inputs.ok()) return {};
  inputs->costs = CostFacts{.possible_cpus = 2};
  return *std::move(inputs);
}

// A configuration in force: its settings and its plan.
struct InForce {
  settings::Settings settings;
  LoadPlan plan;

  InForce(const Inputs& inputs, const settings::RawSettings& raw) {
    auto parsed = settings::Parse(*inputs.schema, raw);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    if (parsed.ok()) settings = *std::move(parsed);
    auto made = MakeFor(inputs, settings, Reasons::kNone, nullptr);
    EXPECT_TRUE(made.ok()) << made.status();
    if (made.ok()) plan = *std::move(made);
  }
  Before before() const { return {.settings = &settings, .plan = &plan}; }
};

}  // namespace bonsai::plan
