// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/program_code.h"

#include <algorithm>

namespace bonsai::plan {

std::vector<uint32_t> FunctionsOf(const object::ObjectSpec& object,
                                  const reachability::Liveness& liveness, uint32_t program) {
  const uint32_t own = object.programs[program].function;
  std::vector<bool> seen(object.functions.size(), false);
  std::vector<uint32_t> functions{own};
  seen[own] = true;
  const auto add = [&](uint32_t function) {
    if (!seen[function]) functions.push_back(function);
    seen[function] = true;
  };
  // What the kernel calls without an instruction that says so is among the live ones.
  for (const uint32_t function : liveness.programs[program].functions) add(function);
  for (size_t next = 0; next < functions.size(); ++next) {
    for (const object::Ref& ref : object.functions[functions[next]].refs) {
      const bool is_code = ref.kind == object::RefKind::kCall ||
                           ref.kind == object::RefKind::kFunctionAddress;
      if (is_code) add(ref.index);
    }
  }
  std::sort(functions.begin() + 1, functions.end());
  return functions;
}

uint32_t SlotsOf(const object::ObjectSpec& object, const std::vector<uint32_t>& functions) {
  size_t slots = 0;
  for (const uint32_t function : functions) slots += object.functions[function].insns.size();
  return static_cast<uint32_t>(slots);
}

uint32_t LiveSlotsOf(const reachability::ProgramLiveness& program) {
  uint32_t slots = 0;
  for (const auto& [function, ranges] : program.code) {
    for (const auto& [first, last] : ranges) slots += last - first + 1;
  }
  return slots;
}

}  // namespace bonsai::plan
