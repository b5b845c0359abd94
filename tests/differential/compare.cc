// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/base/status.h"

namespace bonsai::differential {
namespace {

using object::ObjectSpec;
using reachability::ProgramLiveness;

// Compares one program's things, each under a name.
class Comparer {
 public:
  Comparer(const ObjectSpec& object, uint32_t program, const ProgramLiveness& ours,
           const KeptProgram& kernel, Comparison& out)
      : object_(object), program_(program), ours_(ours), kernel_(kernel), out_(out) {}

  void Run() {
    ++out_.counts.programs;
    Maps();
    Functions();
    TailCalls();
    for (const auto& [function, fates] : kernel_.code) Slots(function, fates);
  }

 private:
  void Differ(bool unsound, std::string what) {
    out_.differences.push_back({unsound, object_.programs[program_].name, std::move(what)});
  }

  // Counts one thing that either side calls live or not.
  void Tell(bool in_kernel, bool in_ours, const std::string& what, int64_t& kept, int64_t& dropped,
            int64_t& cut, int64_t& missed) {
    kept += in_kernel && in_ours;
    dropped += !in_kernel && !in_ours;
    cut += in_kernel && !in_ours;
    missed += !in_kernel && in_ours;
    if (in_kernel != in_ours) Differ(in_kernel, what);
  }

  // Every map that some function of the program, dead or alive, refers to.
  void Maps() {
    std::set<uint32_t> maps;
    for (const auto& [function, fates] : kernel_.code) {
      for (const object::Ref& ref : object_.functions[function].refs) {
        if (ref.kind == object::RefKind::kMap) maps.insert(ref.index);
      }
    }
    Counts& counts = out_.counts;
    for (const uint32_t map : maps) {
      const std::string& name = object_.maps[map].name;
      Tell(kernel_.references.maps.contains(name), ours_.maps.contains(map), "map " + name,
           counts.maps_kept, counts.maps_dropped, counts.maps_cut, counts.maps_missed);
    }
  }

  void Functions() {
    Counts& counts = out_.counts;
    for (const auto& [function, fates] : kernel_.code) {
      if (fates.empty() || fates[0] == Fate::kUnclear) continue;
      Tell(fates[0] == Fate::kKept, ours_.functions.contains(function),
           "function " + object_.functions[function].name, counts.functions_kept,
           counts.functions_dropped, counts.functions_cut, counts.functions_missed);
    }
  }

  void TailCalls() {
    const References& kernel = kernel_.references;
    if (kernel.unknown_tail_call) return;
    if (ours_.tail_calls_unknown_slot) return UnknownSlot();
    std::set<std::pair<std::string, uint32_t>> ours;
    for (const object::TailSlot& tail : ours_.tail_calls) {
      // Beyond the array's end there is nothing to jump to.
      if (tail.slot < object_.FindMap(tail.map)->max_entries) ours.emplace(tail.map, tail.slot);
    }
    for (const auto& [map, slot] : kernel.tail_calls) {
      ++out_.counts.tail_calls;
      if (ours.contains({map, slot})) continue;
      ++out_.counts.tail_calls_cut;
      Differ(true, fmt::format("tail call {}/{}", map, slot));
    }
    for (const auto& [map, slot] : ours) {
      if (kernel.tail_calls.contains({map, slot})) continue;
      ++out_.counts.tail_calls_missed;
      Differ(false, fmt::format("tail call {}/{}", map, slot));
    }
  }

  // Called with a slot that is not known: a miss when the kernel knows more.
  void UnknownSlot() {
    std::set<std::string> arrays;
    for (const auto& [map, slot] : kernel_.references.tail_calls) arrays.insert(map);
    size_t slots = 0;
    for (const std::string& array : arrays) {
      slots += std::min(object_.FindMap(array)->max_entries, kMostSlots);
    }
    if (kernel_.references.tail_calls.size() == slots) return;
    ++out_.counts.tail_calls_missed;
    Differ(false, "tail call slot");
  }

  void Slots(uint32_t function, const std::vector<Fate>& fates) {
    std::vector<bool> live(fates.size());
    if (const auto code = ours_.code.find(function); code != ours_.code.end()) {
      for (const auto& [first, last] : code->second) {
        for (uint32_t slot = first; slot <= last && slot < live.size(); ++slot) live[slot] = true;
      }
    }
    Counts& counts = out_.counts;
    for (size_t slot = 0; slot < fates.size(); ++slot) {
      const bool kept = fates[slot] == Fate::kKept;
      if (fates[slot] == Fate::kUnclear) {
        ++counts.slots_unclear;
        continue;
      }
      counts.slots_kept += kept && live[slot];
      counts.slots_dropped += !kept && !live[slot];
      counts.slots_cut += kept && !live[slot];
      counts.slots_missed += !kept && live[slot];
      const std::string what = fmt::format("{} slot {}", object_.functions[function].name, slot);
      if (kept && !live[slot]) Differ(true, what);
      if (!kept && live[slot]) {
        out_.missed_slots.push_back({false, object_.programs[program_].name, what});
      }
    }
  }

  const ObjectSpec& object_;
  const uint32_t program_;
  const ProgramLiveness& ours_;
  const KeptProgram& kernel_;
  Comparison& out_;
};

}  // namespace

Counts& Counts::operator+=(const Counts& other) {
  static constexpr int64_t Counts::*kAll[] = {
      &Counts::programs,          &Counts::refused,        &Counts::maps_kept,
      &Counts::maps_dropped,      &Counts::maps_cut,       &Counts::maps_missed,
      &Counts::functions_kept,    &Counts::functions_dropped, &Counts::functions_cut,
      &Counts::functions_missed,  &Counts::slots_kept,     &Counts::slots_dropped,
      &Counts::slots_cut,         &Counts::slots_missed,   &Counts::slots_unclear,
      &Counts::tail_calls,        &Counts::tail_calls_cut, &Counts::tail_calls_missed};
  for (const auto member : kAll) this->*member += other.*member;
  return *this;
}

double Counts::MissedShare() const {
  const auto live = static_cast<double>(slots_kept + slots_missed);
  return live == 0 ? 0 : static_cast<double>(slots_missed) / live;
}

std::string Counts::Text() const {
  return fmt::format(
      "{} programs, {} more refused by the kernel; kept/dropped/cut/missed: maps {}/{}/{}/{}, "
      "functions {}/{}/{}/{}, slots {}/{}/{}/{} ({:.3f} % of the live missed, {} unclear); tail "
      "calls {}, cut {}, missed {}",
      programs, refused, maps_kept, maps_dropped, maps_cut, maps_missed, functions_kept,
      functions_dropped, functions_cut, functions_missed, slots_kept, slots_dropped, slots_cut,
      slots_missed, 100 * MissedShare(), slots_unclear, tail_calls, tail_calls_cut,
      tail_calls_missed);
}

absl::Status Compare(const ObjectSpec& object, const constants::ConstantSet& constants,
                     const std::map<std::string, KeptProgram>& kept, Comparison& comparison) {
  for (uint32_t i = 0; i < object.programs.size(); ++i) {
    const std::string& name = object.programs[i].name;
    const auto kernel = kept.find(name);
    if (kernel == kept.end()) continue;
    if (!kernel->second.loaded) {
      ++comparison.counts.refused;
      comparison.refusals.push_back(name + ": " + ReasonOf(kernel->second.log));
      continue;
    }
    ASSIGN_OR_RETURN(const auto liveness, reachability::Analyze(object, constants, {name}));
    Comparer(object, i, liveness.programs[i], kernel->second, comparison).Run();
  }
  return absl::OkStatus();
}

std::string Describe(const constants::ConstantSet& constants) {
  std::string text;
  for (const constants::NamedValue& value : constants.values) {
    if (!value.is_default) text += value.name + "=" + value.value + " ";
  }
  return text;
}

std::string Describe(const std::vector<Difference>& differences) {
  constexpr size_t kFew = 12;
  std::string text;
  for (size_t i = 0; i < differences.size() && i < kFew; ++i) {
    const Difference& difference = differences[i];
    text += fmt::format("{} {}: {}\n", difference.unsound ? "UNSOUND" : "MISSED",
                        difference.program, difference.what);
  }
  if (differences.size() > kFew) text += fmt::format("... of {}\n", differences.size());
  return text;
}

}  // namespace bonsai::differential
