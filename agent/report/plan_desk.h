// SPDX-License-Identifier: Apache-2.0
// PlanDesk: plans that readers ask for, made in their own threads from one snapshot, a few at a time.
// The reconciler never waits for it and is never called by it. Thread-safe.
#pragma once

#include <absl/status/statusor.h>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "agent/plan/feature_cost.h"
#include "agent/plan/inputs.h"
#include "agent/report/snapshot.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::report {

class PlanDesk {
 public:
  // Plans made at once, and requests that may wait for their turn beside those.
  static constexpr size_t kAtOnce = 2, kWaiting = 16;
  // A configuration has a few dozen keys, and a ConfigMap none longer than this.
  static constexpr size_t kMostKeys = 1024, kLongestKey = 253;

  // `cancelled`: that the client left, its deadline passed or the server stops.
  // InvalidArgument, ResourceExhausted, Unavailable as the contract says; Cancelled.
  absl::StatusOr<v1::PlanChangeResponse> Change(const Snapshot& snapshot,
                                                const v1::PlanChangeRequest& request,
                                                const plan::Cancelled& cancelled);

  // Made once for each configuration in force. Empty before there is one.
  using Costs = std::shared_ptr<const std::vector<plan::FeatureCost>>;
  absl::StatusOr<Costs> FeatureCosts(const Snapshot& snapshot, const plan::Cancelled& cancelled);

 private:
  class Turn;
  absl::Status Enter(const plan::Cancelled& cancelled);
  void Leave();

  std::mutex mutex_;
  std::condition_variable left_;
  size_t running_ = 0, waiting_ = 0;
  // Costs of the plan that they were made for; it is held, so that its address is no other's.
  std::shared_ptr<const plan::LoadPlan> cost_plan_;
  Costs costs_;
};

}  // namespace bonsai::report
