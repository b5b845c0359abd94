// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_options.h"

#include <linux/bpf.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "agent/base/status.h"
#include "agent/cli/input.h"
#include "agent/constants/assign.h"
#include "agent/settings/nearest.h"
#include "agent/settings/settings_source.h"
#include "agent/settings/text.h"

namespace bonsai::cli {
namespace {

using constants::ConstantSet;
using object::Map;
using object::ObjectSpec;
using object::Program;
using reachability::Thing;
using reachability::ThingKind;
using settings::Printable;
using settings::Quote;

constexpr size_t kLargestSection = 64 << 20;  // as the reader takes
constexpr size_t kLongestName = 128;          // keeps hostile names cheap

template <typename T>
std::string NearestOf(const std::string& name, const std::vector<T>& items) {
  size_t best = SIZE_MAX;
  std::string nearest;
  for (const T& item : items) {
    const size_t distance = settings::EditDistance(name.substr(0, kLongestName),
                                                   item.name.substr(0, kLongestName));
    if (distance >= best) continue;
    best = distance;
    nearest = item.name;
  }
  return nearest.empty() ? "it has none" : "the nearest is " + Printable(nearest);
}

absl::StatusOr<Program*> FindProgram(ObjectSpec& object, const std::string& flag,
                                     const std::string& name) {
  for (Program& program : object.programs) {
    if (program.name == name) return &program;
  }
  return base::InvalidArgument("{}: no program {}; {}", flag, Quote(name),
                               NearestOf(name, object.programs));
}

absl::StatusOr<Map*> FindProgramArray(ObjectSpec& object, const std::string& flag,
                                      const std::string& name) {
  for (Map& map : object.maps) {
    if (map.name != name) continue;
    if (map.type == BPF_MAP_TYPE_PROG_ARRAY) return &map;
    return base::InvalidArgument("{}: map {} is no program array", flag, Printable(name));
  }
  return base::InvalidArgument("{}: no map {}; {}", flag, Quote(name),
                               NearestOf(name, object.maps));
}

// A program has one tag; further slots of it are written down as the array's initial content.
absl::Status Bind(const std::string& flag, uint32_t slot, Map& map, Program& program) {
  if (!program.tail) {
    program.tail = object::TailSlot{map.name, slot};
    return absl::OkStatus();
  }
  if (program.tail->map == map.name && program.tail->slot == slot) return absl::OkStatus();
  const auto [known, added] = map.initial_programs.try_emplace(slot, program.name);
  if (added || known->second == program.name) return absl::OkStatus();
  return base::InvalidArgument("{}: slot {} of {} holds {} already", flag, slot,
                               Printable(map.name), Printable(known->second));
}

absl::Status BindTail(const std::string& text, ObjectSpec& object) {
  const std::string flag = "--tail " + Printable(text);
  const auto sides = Cut(text);
  const size_t colon = sides ? sides->first.rfind(':') : std::string::npos;
  if (colon == std::string::npos || colon == 0) {
    return base::InvalidArgument("{}: expected MAP:SLOT=PROG", flag);
  }
  const std::string digits = sides->first.substr(colon + 1);
  const char* end = digits.data() + digits.size();
  uint32_t slot = 0;
  const auto [stop, error] = std::from_chars(digits.data(), end, slot);
  if (error == std::errc::invalid_argument || stop != end) {
    return base::InvalidArgument("{}: {} is no slot number", flag, Quote(digits));
  }
  ASSIGN_OR_RETURN(Map * map, FindProgramArray(object, flag, sides->first.substr(0, colon)));
  // An array without a size gets one when it is loaded.
  const bool outside = map->max_entries != 0 && slot >= map->max_entries;
  if (error == std::errc::result_out_of_range || outside) {
    return base::InvalidArgument("{}: map {} has the slots 0..{}", flag, Printable(map->name),
                                 map->max_entries != 0 ? map->max_entries - 1 : UINT32_MAX);
  }
  ASSIGN_OR_RETURN(Program * program, FindProgram(object, flag, sides->second));
  return Bind(flag, slot, *map, *program);
}

template <typename T>
absl::Status FindThings(const std::string& flag, const std::string& name, ThingKind kind,
                        const std::vector<T>& items, std::vector<Thing>& things) {
  const size_t before = things.size();
  for (uint32_t i = 0; i < items.size(); ++i) {
    if (items[i].name == name) things.push_back({kind, i});
  }
  if (things.size() > before) return absl::OkStatus();
  return base::InvalidArgument("{}: no such name; {}", flag, NearestOf(name, items));
}

absl::Status AddThings(const std::string& text, const ObjectSpec& object,
                       std::vector<Thing>& things) {
  struct Kind {
    std::string name;
  };
  static const std::vector<Kind> kKinds = {{"map"}, {"program"}, {"function"}};
  const std::string flag = "--why " + Printable(text);
  const size_t slash = text.find('/');
  if (slash == std::string::npos) {
    return base::InvalidArgument("{}: expected KIND/NAME, KIND map, program or function", flag);
  }
  const std::string kind = text.substr(0, slash), name = text.substr(slash + 1);
  if (kind == "map") return FindThings(flag, name, ThingKind::kMap, object.maps, things);
  if (kind == "program") {
    return FindThings(flag, name, ThingKind::kProgram, object.programs, things);
  }
  if (kind == "function") {
    return FindThings(flag, name, ThingKind::kFunction, object.functions, things);
  }
  return base::InvalidArgument("{}: no kind {}; {}", flag, Quote(kind), NearestOf(kind, kKinds));
}

absl::Status ApplySection(const std::string& text, const ObjectSpec& object, ConstantSet& set) {
  const auto sides = Cut(text);
  if (!sides || sides->second.size() < 2 || sides->second[0] != '@') {
    return base::InvalidArgument("--section {}: expected SECTION=@FILE", Printable(text));
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(sides->second.substr(1), kLargestSection));
  return constants::ReplaceSection(object, sides->first, {bytes.begin(), bytes.end()}, set);
}

bool HasSettings(const ObjectSpec& object) {
  return std::any_of(object.constants.begin(), object.constants.end(), [](const auto& constant) {
    return constant.origin == object::ConstantOrigin::kSetting;
  });
}

std::string KeyOf(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// Keys of the agent that `object` belongs to: its own settings and those of the objects that lie in
// the same folder. Neighbours that cannot be read have none.
std::set<std::string> KeysOfAgent(const ObjectSpec& object) {
  std::set<std::string> keys;
  if (!HasSettings(object)) return keys;
  for (const settings::SettingSpec& spec : settings::AgentSettings()) keys.insert(spec.key);
  std::filesystem::path folder = std::filesystem::path(object.path).parent_path();
  if (folder.empty()) folder = ".";
  std::error_code error;
  for (std::filesystem::directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    std::error_code no_file;
    if (file->path().extension() != ".o" || !file->is_regular_file(no_file)) continue;
    const auto other = object::Read(file->path().string());
    if (!other.ok()) continue;
    for (const object::Constant& constant : other->constants) {
      if (constant.origin == object::ConstantOrigin::kSetting) keys.insert(KeyOf(constant.name));
    }
  }
  return keys;
}

absl::Status ApplyConfig(const std::string& path, const ObjectSpec& object, ConstantSet& set) {
  ASSIGN_OR_RETURN(const std::string text, ReadWhole(path, kLargestConfig));
  ASSIGN_OR_RETURN(const settings::RawSettings raw, settings::ParseYaml(path, text));
  std::optional<std::set<std::string>> others;
  for (const auto& [key, value] : raw) {
    if (!constants::Knows(object, key)) {
      if (!others) others = KeysOfAgent(object);
      if (others->contains(KeyOf(key))) continue;
    }
    RETURN_IF_ERROR(base::Annotate(constants::Assign(object, key, value, set), Printable(path)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BindTails(const std::vector<std::string>& tails, ObjectSpec& object) {
  for (const std::string& text : tails) RETURN_IF_ERROR(BindTail(text, object));
  return absl::OkStatus();
}

absl::Status CheckEntries(const std::vector<std::string>& entries, const ObjectSpec& object) {
  for (const std::string& name : entries) {
    if (object.FindProgram(name) != nullptr) continue;
    return base::InvalidArgument("--entry {}: no such program; {}", Printable(name),
                                 NearestOf(name, object.programs));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Thing>> ThingsAsked(const std::vector<std::string>& whys,
                                               const ObjectSpec& object) {
  std::vector<Thing> things;
  for (const std::string& text : whys) RETURN_IF_ERROR(AddThings(text, object, things));
  return things;
}

absl::StatusOr<ConstantSet> ConstantsInForce(const AnalyzeOptions& options,
                                             const ObjectSpec& object) {
  ConstantSet set = constants::Defaults(object);
  for (const std::string& text : options.sections) {
    RETURN_IF_ERROR(ApplySection(text, object, set));
  }
  if (!options.config.empty()) RETURN_IF_ERROR(ApplyConfig(options.config, object, set));
  for (const std::string& text : options.assignments) {
    const auto sides = Cut(text);
    if (!sides) return base::InvalidArgument("--set {}: expected NAME=VALUE", Printable(text));
    RETURN_IF_ERROR(constants::Assign(object, sides->first, sides->second, set));
  }
  return set;
}

}  // namespace bonsai::cli
