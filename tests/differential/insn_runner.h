// SPDX-License-Identifier: Apache-2.0
// Runs sequences of instructions: loaded into the kernel and compared with the engine.
#pragma once

#include <absl/status/statusor.h>
#include <bpf/btf.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/differential/compare.h"
#include "tests/differential/insn_case.h"

namespace bonsai::differential {

class InsnRunner {
 public:
  static absl::StatusOr<InsnRunner> Create();

  // Adds what differs; missed slots too.
  absl::Status Run(const InsnCase& made, Comparison& comparison, bool log_visits = false) const;

  // The smallest part of `failing` that still differs, unsoundly or not, with the verifier's walk.
  std::string Reproduce(const InsnCase& failing, bool unsound) const;

 private:
  using Btf = std::unique_ptr<btf, decltype(&btf__free)>;
  explicit InsnRunner(Btf types) : types_(std::move(types)) {}

  Btf types_;
  std::vector<uint32_t> functions_;  // type ids, as InsnCase::ToImage wants them
};

}  // namespace bonsai::differential
