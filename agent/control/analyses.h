// SPDX-License-Identifier: Apache-2.0
// The engine's verdicts on the datapath's objects, kept by constants: what has not changed is not
// analysed again. Thread-safe; what it hands out is immutable.
#pragma once

#include <absl/status/statusor.h>

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/plan/load_plan.h"

namespace bonsai::control {

class Analyses {
 public:
  using Verdict = std::shared_ptr<const plan::AnalyzedObject>;

  // `explained`: with reasons, which nothing but readers needs and which take as long again.
  // `spec` must outlive the verdict.
  absl::StatusOr<Verdict> Get(const object::ObjectSpec& spec, constants::ConstantSet constants,
                              bool explained);

 private:
  // A few of each object: toggling back finds the one before.
  static constexpr size_t kMostKept = 4;

  struct Kept {
    Verdict verdict;
    bool explained = false;
  };

  std::mutex mutex_;
  std::map<std::string, std::list<Kept>> kept_;  // by object, the last one used first
};

}  // namespace bonsai::control
