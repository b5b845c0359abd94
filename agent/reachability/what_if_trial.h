// SPDX-License-Identifier: Apache-2.0
// Analyses of one object with changed constants; internal to reachability/.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "agent/base/worker.h"
#include "agent/reachability/what_if.h"
#include "agent/reachability/what_if_values.h"

namespace bonsai::reachability {

// All references given must outlive it.
class Trial {
 public:
  Trial(const object::ObjectSpec& object, const constants::ConstantSet& constants,
        const std::vector<std::string>& entries)
      : object_(object), set_(constants), entries_(entries) {}

  int64_t Get(uint32_t constant) const { return ValueOf(object_.constants[constant], set_); }
  // Values in words are not kept up: only Explainer reads them, and nobody sees those lines.
  void Set(uint32_t constant, int64_t value) {
    const object::Constant& spec = object_.constants[constant];
    std::memcpy(set_.sections.at(spec.section).data() + spec.offset, &value, spec.size);
  }
  absl::StatusOr<Liveness> Run() {
    ++analyses_;
    return Analyze(object_, set_, entries_, &worker_);
  }
  absl::StatusOr<Liveness> RunWith(uint32_t constant, int64_t value) {
    const int64_t before = Get(constant);
    Set(constant, value);
    absl::StatusOr<Liveness> liveness = Run();
    Set(constant, before);
    return liveness;
  }
  const constants::ConstantSet& set() const { return set_; }
  uint32_t analyses() const { return analyses_; }

 private:
  const object::ObjectSpec& object_;
  constants::ConstantSet set_;
  const std::vector<std::string>& entries_;
  uint32_t analyses_ = 0;
  base::Worker worker_;
};

// A change of this constant.
Change ChangeOf(const object::ObjectSpec& object, uint32_t constant, int64_t from, int64_t to);

}  // namespace bonsai::reachability
