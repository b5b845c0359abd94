// SPDX-License-Identifier: Apache-2.0
// Analyze(): what it takes for granted, and what it puts together.
#include <optional>

#include "agent/base/status.h"
#include "agent/base/worker.h"
#include "agent/reachability/collect.h"
#include "agent/reachability/fixpoint.h"

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;

absl::Status CheckRef(const ObjectSpec& object, const object::Function& function, const Ref& ref) {
  size_t limit = 0;
  switch (ref.kind) {
    case RefKind::kMap: case RefKind::kArena: limit = object.maps.size(); break;
    case RefKind::kData: limit = object.data_sections.size(); break;
    case RefKind::kCall: case RefKind::kFunctionAddress: limit = object.functions.size(); break;
    default: return absl::OkStatus();
  }
  if (ref.index < limit && ref.slot < function.insns.size()) return absl::OkStatus();
  return base::InvalidArgument("analysing object {}: function {}, slot {}: refers to nothing",
                               object.name, function.name, ref.slot);
}

// What the engine takes for granted.
absl::Status CheckRefs(const ObjectSpec& object) {
  for (const object::Function& function : object.functions) {
    for (const Ref& ref : function.refs) RETURN_IF_ERROR(CheckRef(object, function, ref));
  }
  return absl::OkStatus();
}

absl::Status Check(const ObjectSpec& object, const constants::ConstantSet& constants) {
  for (const object::Program& program : object.programs) {
    if (program.function >= object.functions.size()) {
      return base::InvalidArgument("analysing object {}: program {} has no function", object.name,
                                   program.name);
    }
  }
  for (uint32_t i = 0; i < object.data_sections.size(); ++i) {
    const object::DataSection& section = object.data_sections[i];
    const auto given = constants.sections.find(i);
    if (section.read_only && (given == constants.sections.end() ||
                              given->second.size() != section.bytes.size())) {
      return base::InvalidArgument("analysing object {}: section {}: {} bytes of constants expected",
                                   object.name, section.name, section.bytes.size());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint32_t>> Entries(const ObjectSpec& object,
                                              const std::vector<std::string>& names) {
  std::vector<uint32_t> entries;
  for (const std::string& name : names) {
    const object::Program* program = object.FindProgram(name);
    if (program == nullptr) {
      return base::InvalidArgument("analysing object {}: no program {}", object.name, name);
    }
    entries.push_back(static_cast<uint32_t>(program - object.programs.data()));
  }
  for (uint32_t i = 0; names.empty() && i < object.programs.size(); ++i) {
    if (!object.programs[i].tail) entries.push_back(i);
  }
  return entries;
}

// Maps that a live map of maps holds from the start.
void AddInitialMaps(const ObjectSpec& object, std::vector<bool>& maps) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < object.maps.size(); ++i) {
      if (!maps[i]) continue;
      for (const auto& [slot, name] : object.maps[i].initial_maps) {
        const object::Map* inner = object.FindMap(name);
        const auto index = static_cast<size_t>(inner - object.maps.data());
        if (inner == nullptr || maps[index]) continue;
        maps[index] = changed = true;
      }
    }
  }
}

Liveness Empty(const ObjectSpec& object) {
  Liveness liveness;
  liveness.programs.resize(object.programs.size());
  liveness.functions.resize(object.functions.size());
  for (size_t i = 0; i < object.functions.size(); ++i) {
    liveness.functions[i].live_slots.resize(object.functions[i].insns.size());
  }
  liveness.maps.resize(object.maps.size());
  liveness.data_sections.resize(object.data_sections.size());
  liveness.map_reasons.resize(object.maps.size());
  liveness.program_reasons.resize(object.programs.size());
  liveness.function_reasons.resize(object.functions.size());
  return liveness;
}

}  // namespace

absl::StatusOr<Liveness> Analyze(const ObjectSpec& object, const constants::ConstantSet& constants,
                                 const std::vector<std::string>& entries, base::Worker* worker) {
  RETURN_IF_ERROR(Check(object, constants));
  ASSIGN_OR_RETURN(const std::vector<uint32_t> first, Entries(object, entries));
  base::Worker own;
  if (worker == nullptr) worker = &own;
  Liveness liveness;
  std::optional<Fixpoint> fixpoint;
  RETURN_IF_ERROR(base::Both(
      IsLarge(object) ? worker : nullptr, [&] { return CheckRefs(object); },
      [&] {
        liveness = Empty(object);
        fixpoint.emplace(object, constants, *worker);
        return absl::OkStatus();
      }));
  RETURN_IF_ERROR(fixpoint->Run(first));
  Collector(*fixpoint, object).Collect(liveness);
  AddInitialMaps(object, liveness.maps);
  return liveness;
}

}  // namespace bonsai::reachability
