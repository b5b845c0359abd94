// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/object_fuzz.h"

#include <cstdlib>

#include "agent/reachability/liveness.h"

namespace bonsai::fuzz {

bool ReadAndAnalyse(const std::vector<uint8_t>& bytes) {
  const auto object = object::ReadBytes("fuzz.bpf.o", bytes);
  if (!object.ok()) return false;
  const auto liveness = reachability::Analyze(*object, constants::Defaults(*object));
  if (!liveness.ok()) return false;
  // What every caller relies on.
  if (liveness->maps.size() != object->maps.size()) std::abort();
  if (liveness->live_insns > liveness->total_insns) std::abort();
  return true;
}

}  // namespace bonsai::fuzz
