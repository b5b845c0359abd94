// SPDX-License-Identifier: Apache-2.0
// Why a map, a program or a function of the datapath is there or not, which settings would change
// that, and what hangs on a setting. Over all objects, at the plan's level: what exists is what a
// load would create, which is less than what the engine calls alive (inert.h). Pure, any thread.
//
// Cost: one plan for each change of settings that is tried, some tens; a plan analyses anew only the
// objects whose constants differ, at about two milliseconds each.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/plan/effect.h"
#include "agent/plan/inputs.h"
#include "agent/plan/reload_class.h"
#include "agent/reachability/explain.h"

namespace bonsai::plan {

enum class Subject : uint8_t { kMap, kProgram, kFunction, kSetting };
const char* SubjectName(Subject subject);  // "map"

// One object that the thing is in.
struct ObjectAnswer {
  const object::ObjectSpec* object = nullptr;  // of the Inputs
  bool used = false;  // what is loaded of this object uses it
  // The engine finds it alive, but the entry programs that would use it can only let every packet
  // pass and are not loaded; `why.deciding` has the branches that made them so.
  bool inert = false;
  reachability::Explanation why;
};

struct ThingAnswer {
  bool exists = false;             // in the plan for the present settings
  std::string reason;              // the plan's, one line; of a function ""
  std::string feature, sized_by;   // maps
  uint32_t max_entries = 0;        // maps
  uint64_t bytes = 0;              // maps: kernel memory, predicted, whether it exists or not
  uint64_t full_bytes = 0;         // maps: the same when full; more where entries come as needed
  uint32_t instructions = 0, live_instructions = 0;  // programs and functions: slots
  std::vector<ObjectAnswer> objects;  // of what exists: those that use it; else those that name it
  // Each alone ends what exists, or brings what does not. Those that change least else come first;
  // one that does with more settings what another does with some of them is left out.
  std::vector<Effect> alone;
  std::optional<Effect> together;  // the same of several changes, none of which can be left out
};

struct SettingAnswer {
  struct Use {
    const object::ObjectSpec* object = nullptr;
    std::string value;                        // of the constant
    std::vector<reachability::Place> reads;   // live code that reads it, one a source line
    std::vector<reachability::Deciding> branches;  // decided ones that rest on it
  };
  settings::SettingSpec spec;
  std::vector<std::string> required_by;       // bool settings that need this one
  ReloadClass reload_class = ReloadClass::kLive;
  std::vector<std::string> sizes;             // maps
  std::vector<Use> uses;                      // objects that have the constant
  std::vector<Effect> effects;                // one for each other value that was tried
};

struct Answer {
  Subject subject = Subject::kMap;
  std::string name;                // as the lists have it
  std::optional<ThingAnswer> thing;
  std::optional<SettingAnswer> setting;
};

// All names that can be asked for, sorted. A program or function that several objects have is
// "object/name", else "name".
std::vector<std::string> NamesOf(const Inputs& inputs, Subject subject);

// `name`: as NamesOf() has it; of programs and functions also "object/name"; settings and constants
// in kebab-case or snake_case. NotFound for an unknown name, with the nearest there is; Cancelled.
// Other errors are those of MakeWorld().
absl::StatusOr<Answer> Explain(const Inputs& inputs, const settings::Settings& settings,
                               Subject subject, const std::string& name,
                               const Cancelled& cancelled);

}  // namespace bonsai::plan
