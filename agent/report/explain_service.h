// SPDX-License-Identifier: Apache-2.0
// ExplainService: answers Explain from the snapshot, in the caller's thread. Holds nothing but the
// number of answers in the making, so that questions can not take the node's processors: at most
// kMostAtOnce at a time, each for at most kLongest. Any thread.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <chrono>

#include "agent/plan/inputs.h"
#include "agent/report/snapshot.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::report {

class ExplainService {
 public:
  static constexpr int kMostAtOnce = 2;
  static constexpr std::chrono::seconds kLongest{10};

  // InvalidArgument: no such kind; NotFound: no such name; FailedPrecondition: nothing is in force
  // yet; ResourceExhausted: too many at once; Cancelled: `cancelled` says so; DeadlineExceeded.
  absl::StatusOr<v1::ExplainResponse> Answer(const v1::ExplainRequest& request,
                                             const Snapshot& snapshot,
                                             const plan::Cancelled& cancelled);

 private:
  std::atomic<int> running_{0};
};

}  // namespace bonsai::report
