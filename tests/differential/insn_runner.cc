// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/insn_runner.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include "agent/base/status.h"
#include "tests/differential/shrink.h"

namespace bonsai::differential {
namespace {

constexpr int kShrinkBudget = 3000;
constexpr size_t kLogShown = 6000;

absl::StatusOr<base::UniqueFd> FrozenMap(const std::vector<uint8_t>& data) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_RDONLY_PROG);
  base::UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "made", sizeof(uint32_t),
                                    static_cast<uint32_t>(data.size()), 1, &options));
  const uint32_t key = 0;
  if (!map.valid() || bpf_map_update_elem(map.get(), &key, data.data(), BPF_ANY) != 0 ||
      bpf_map_freeze(map.get()) != 0) {
    return base::ErrnoStatus(errno, "making a read-only map");
  }
  return map;
}

bool Differs(const Comparison& comparison, bool unsound) {
  if (!unsound) return !comparison.missed_slots.empty();
  for (const Difference& difference : comparison.differences) {
    if (difference.unsound) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<InsnRunner> InsnRunner::Create() {
  InsnRunner runner(Btf(btf__new_empty(), btf__free));
  btf* types = runner.types_.get();
  const int number = btf__add_int(types, "long", 8, BTF_INT_SIGNED);
  const int prototype = btf__add_func_proto(types, number);
  for (const char* name : {"a", "b", "c"}) btf__add_func_param(types, name, number);
  // The program, then each function as a static and as a global one.
  for (size_t i = 0; i < 2 * kMostInsnFunctions - 1; ++i) {
    const int type = btf__add_func(types, fmt::format("f{}", (i + 1) / 2).c_str(),
                                   i % 2 == 1 ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC, prototype);
    if (type < 0) return base::ErrnoStatus(-type, "making types");
    runner.functions_.push_back(static_cast<uint32_t>(type));
  }
  if (const int error = btf__load_into_kernel(types); error != 0) {
    return base::ErrnoStatus(-error, "loading types");
  }
  return runner;
}

absl::Status InsnRunner::Run(const InsnCase& made, Comparison& comparison, bool log_visits) const {
  ASSIGN_OR_RETURN(const base::UniqueFd data, FrozenMap(made.data));
  const Image image = made.ToImage(btf__fd(types_.get()), functions_, data.get());
  ASSIGN_OR_RETURN(Verdict verdict, Load(image, log_visits));
  std::map<std::string, KeptProgram> programs;
  KeptProgram& kept = programs["f0"];
  kept.loaded = verdict.loaded();
  kept.log = verdict.log;
  for (uint32_t i = 0; kept.loaded && i < image.functions.size(); ++i) {
    const auto first = static_cast<ptrdiff_t>(image.functions[i].insn_off);
    const auto end = static_cast<ptrdiff_t>(i + 1 < image.functions.size()
                                                ? image.functions[i + 1].insn_off
                                                : image.insns.size());
    kept.code[i] = {verdict.fates.begin() + first, verdict.fates.begin() + end};
  }
  const object::ObjectSpec spec = made.Spec();
  if (log_visits) comparison.refusals.push_back(std::move(verdict.log));
  return Compare(spec, constants::Defaults(spec), programs, comparison);
}

std::string InsnRunner::Reproduce(const InsnCase& failing, bool unsound) const {
  std::vector<bool> kept(failing.Size(), true);
  int budget = kShrinkBudget;
  Shrink(kept, budget, [&](const std::vector<bool>& parts) {
    Comparison comparison;
    const InsnCase part = failing.Without(parts);
    for (const InsnFunction& function : part.functions) {
      if (function.items.empty()) return false;
    }
    return Run(part, comparison).ok() && Differs(comparison, unsound);
  });
  const InsnCase smallest = failing.Without(kept);
  Comparison comparison;
  const absl::Status status = Run(smallest, comparison, /*log_visits=*/true);
  if (!status.ok()) return std::string(status.message());
  const std::string& log = comparison.refusals.front();
  return Describe(comparison.differences) + Describe(comparison.missed_slots) + smallest.Text() +
         log.substr(0, kLogShown);
}

}  // namespace bonsai::differential
