// SPDX-License-Identifier: Apache-2.0
#include <linux/bpf.h>

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "agent/base/status.h"
#include "agent/plan/decision.h"
#include "agent/plan/inert.h"
#include "agent/plan/load_plan.h"
#include "agent/plan/neutralise.h"
#include "agent/plan/program_code.h"

namespace bonsai::plan {
namespace {

using object::ObjectSpec;

constexpr size_t kNamedUsers = 4;

// What is found out about one object before the maps are put together.
struct Verdicts {
  bool needed = false;
  std::vector<bool> load;                 // parallel to ObjectSpec::programs
  std::vector<std::string> load_reasons;
};

// The branch that does most to explain why little of a program is left: the first one that rests on
// constants.
std::string FirstDecision(const AnalyzedObject& object, uint32_t program) {
  const std::set<uint32_t>& functions = object.liveness.programs[program].functions;
  const reachability::DecidedBranch* first = nullptr;
  for (const reachability::DecidedBranch& branch : object.liveness.branches) {
    if (branch.constants.empty() || !functions.contains(branch.function)) continue;
    if (first == nullptr ||
        std::tie(branch.function, branch.slot) < std::tie(first->function, first->slot)) {
      first = &branch;
    }
  }
  if (first == nullptr) return "";
  return DescribeDecision(object.constants, *first);
}

const char* EntryReason(const std::string& section) {
  return IsRunByAgent(section) ? "run by the agent" : "entry program";
}

std::string InertReason(const AnalyzedObject& object, uint32_t program) {
  std::string decision = FirstDecision(object, program);
  const bool by_agent = IsRunByAgent(object.spec->programs[program].section);
  return (by_agent ? "it can do nothing" : "it can only let every packet pass") +
         std::string(": no live map, tail call or side effect") +
         (decision.empty() ? "" : " (" + decision + ")");
}

Verdicts Judge(const AnalyzedObject& object) {
  const ObjectSpec& spec = *object.spec;
  Verdicts verdicts;
  verdicts.load.resize(spec.programs.size());
  verdicts.load_reasons.resize(spec.programs.size());
  for (uint32_t p = 0; p < spec.programs.size(); ++p) {
    bool entry = !spec.programs[p].tail;
    bool live = object.liveness.programs[p].live;
    bool inert = entry && live && IsInert(spec, object.liveness, p);
    verdicts.load[p] = live && !inert;
    verdicts.needed |= entry && verdicts.load[p];
    if (inert) {
      verdicts.load_reasons[p] = InertReason(object, p);
    } else if (live) {
      verdicts.load_reasons[p] =
          entry ? EntryReason(spec.programs[p].section)
                : fmt::format("tail call {}[{}] is reachable", spec.programs[p].tail->map,
                              spec.programs[p].tail->slot);
    } else {
      const std::string& why = object.liveness.program_reasons[p];
      verdicts.load_reasons[p] = why.empty() ? "nothing refers to it" : why;
    }
  }
  if (!verdicts.needed) std::fill(verdicts.load.begin(), verdicts.load.end(), false);
  return verdicts;
}

std::vector<ProgramPlan> PlanPrograms(const AnalyzedObject& object, const Verdicts& verdicts) {
  std::vector<ProgramPlan> plans;
  const ObjectSpec& spec = *object.spec;
  for (uint32_t p = 0; p < spec.programs.size(); ++p) {
    const object::Program& program = spec.programs[p];
    const reachability::ProgramLiveness& liveness = object.liveness.programs[p];
    ProgramPlan plan{.object = spec.name, .name = program.name,
                     .by_agent = IsRunByAgent(program.section),
                     .is_tail = program.tail.has_value(),
                     .load = verdicts.load[p], .reason = verdicts.load_reasons[p]};
    if (program.tail) {
      plan.tail_map = program.tail->map;
      plan.tail_slot = program.tail->slot;
    }
    plan.slots = SlotsOf(spec, FunctionsOf(spec, object.liveness, p));
    if (liveness.live) plan.live_slots = LiveSlotsOf(liveness);
    for (uint32_t map : liveness.maps) plan.maps.push_back(spec.maps[map].name);
    std::sort(plan.maps.begin(), plan.maps.end());
    plans.push_back(std::move(plan));
  }
  return plans;
}

// Puts the maps of all objects together, one a name.
class MapPlanner {
 public:
  MapPlanner(const settings::Settings& settings, const CostFacts& facts)
      : settings_(settings), facts_(facts) {}

  absl::Status Add(const AnalyzedObject& object, const Verdicts& verdicts) {
    for (uint32_t m = 0; m < object.spec->maps.size(); ++m) {
      RETURN_IF_ERROR(AddMap(object, verdicts, m));
    }
    for (uint32_t s = 0; s < object.spec->data_sections.size(); ++s) {
      AddDataSection(object, verdicts, s);
    }
    return absl::OkStatus();
  }

  std::vector<MapPlan> Finish() {
    std::vector<MapPlan> plans;
    for (auto& [name, entry] : entries_) {
      MapPlan& map = entry.plan;
      map.create = !map.used_by.empty() || entry.live_section;
      map.reason = Reason(entry);
      map.bytes = MapBytes(map.type, map.key_size, map.value_size, map.max_entries, map.map_flags,
                           facts_);
      plans.push_back(std::move(map));
    }
    return plans;
  }

 private:
  struct Entry {
    MapPlan plan;
    std::string declared_in;         // object that declared it first
    std::set<std::string> dead_reasons;
    bool live_section = false;
  };

  absl::StatusOr<uint32_t> Entries(const object::Map& map) const {
    if (map.sized_by.empty()) return map.max_entries;
    auto value = settings_.values().find(map.sized_by);
    if (value == settings_.values().end() ||
        !std::holds_alternative<uint64_t>(value->second)) {
      return base::Internal("sizing map {}: its tag size:{} names no number setting", map.name,
                            map.sized_by);
    }
    uint64_t entries = std::get<uint64_t>(value->second);
    if (entries > std::numeric_limits<uint32_t>::max()) {
      return base::InvalidArgument("sizing map {}: {} = {} is more than a map can have", map.name,
                                   map.sized_by, entries);
    }
    return static_cast<uint32_t>(entries);
  }

  absl::StatusOr<MapPlan> PlanOf(const AnalyzedObject& object, const object::Map& map) const {
    MapPlan plan{.name = map.name, .feature = map.feature, .type = map.type,
                 .key_size = map.key_size, .value_size = map.value_size,
                 .map_flags = map.map_flags, .sized_by = map.sized_by,
                 .resized_empty = map.resized_empty,
                 .layout_version = map.layout_version, .layout_hash = map.layout_hash};
    ASSIGN_OR_RETURN(plan.max_entries, Entries(map));
    plan.is_tail_array = map.type == BPF_MAP_TYPE_PROG_ARRAY;
    if (plan.is_tail_array) plan.object = object.spec->name;
    return plan;
  }

  static bool Same(const MapPlan& a, const MapPlan& b) {
    auto key = [](const MapPlan& m) {
      return std::tie(m.type, m.key_size, m.value_size, m.max_entries, m.map_flags, m.feature,
                      m.sized_by, m.object, m.resized_empty, m.layout_version, m.layout_hash);
    };
    return key(a) == key(b);
  }

  absl::Status AddMap(const AnalyzedObject& object, const Verdicts& verdicts, uint32_t index) {
    const object::Map& map = object.spec->maps[index];
    ASSIGN_OR_RETURN(MapPlan plan, PlanOf(object, map));
    auto [at, is_new] = entries_.try_emplace(map.name);
    Entry& entry = at->second;
    if (is_new) {
      entry.plan = std::move(plan);
      entry.declared_in = object.spec->name;
    } else if (!Same(entry.plan, plan)) {
      return base::InvalidArgument(
          "planning map {}: objects {} and {} declare it differently; a shared map must be one "
          "declaration, a tail-call array belongs to one object",
          map.name, entry.declared_in, object.spec->name);
    }
    AddUsers(object, verdicts, index, entry);
    return absl::OkStatus();
  }

  static void AddUsers(const AnalyzedObject& object, const Verdicts& verdicts, uint32_t index,
                       Entry& entry) {
    bool used = false;
    for (uint32_t p = 0; p < object.spec->programs.size(); ++p) {
      if (!verdicts.load[p] || !object.liveness.programs[p].maps.contains(index)) continue;
      entry.plan.used_by.push_back(object.spec->name + "/" + object.spec->programs[p].name);
      used = true;
    }
    const std::string& why = object.liveness.map_reasons[index];
    if (!used && !why.empty()) entry.dead_reasons.insert(why);
  }

  void AddDataSection(const AnalyzedObject& object, const Verdicts& verdicts, uint32_t index) {
    const object::DataSection& section = object.spec->data_sections[index];
    MapPlan plan{.name = object.spec->name + section.name, .object = object.spec->name,
                 .data_section = section.name, .feature = "constants",
                 .type = BPF_MAP_TYPE_ARRAY, .key_size = 4,
                 .value_size = static_cast<uint32_t>(section.bytes.size()), .max_entries = 1};
    // Static variables only, so libbpf does not make it mappable.
    plan.map_flags = section.read_only ? BPF_F_RDONLY_PROG : 0;
    Entry entry{.plan = std::move(plan), .declared_in = object.spec->name};
    entry.live_section = verdicts.needed && object.liveness.data_sections[index];
    entries_.emplace(entry.plan.name, std::move(entry));
  }

  static std::string Reason(const Entry& entry) {
    const MapPlan& map = entry.plan;
    if (entry.live_section) return "constants and data of object " + map.object;
    if (!map.data_section.empty()) return "no live code of object " + map.object + " reads it";
    std::string text;
    for (size_t i = 0; i < map.used_by.size(); ++i) {
      if (i == kNamedUsers) {
        return text + fmt::format(" and {} more", map.used_by.size() - kNamedUsers);
      }
      text += (i == 0 ? "used by " : ", ") + map.used_by[i];
    }
    if (!text.empty()) return text;
    for (const std::string& why : entry.dead_reasons) text += (text.empty() ? "" : "; ") + why;
    return text.empty() ? "nothing that is loaded refers to it" : text;
  }

  const settings::Settings& settings_;
  const CostFacts& facts_;
  std::map<std::string, Entry> entries_;
};

ObjectPlan PlanObject(const AnalyzedObject& object, const Verdicts& verdicts,
                      const std::map<std::string, size_t>& map_indices) {
  const ObjectSpec& spec = *object.spec;
  ObjectPlan plan{.name = spec.name, .path = spec.path, .constants = object.constants,
                  .needed = verdicts.needed, .total_insns = object.liveness.total_insns};
  for (const auto& [index, bytes] : object.constants.sections) {
    plan.sections[spec.data_sections[index].name] = bytes;
  }
  for (uint32_t p = 0; p < spec.programs.size(); ++p) {
    if (!verdicts.load[p]) plan.skip_programs.push_back(spec.programs[p].name);
    bool entry = !spec.programs[p].tail;
    if (!plan.needed && entry && plan.reason.empty()) {
      plan.reason = fmt::format("{}: {}", spec.programs[p].name, verdicts.load_reasons[p]);
    }
  }
  if (plan.needed) {
    plan.live_insns = object.liveness.live_insns;
    plan.neutralised = Neutralise(object);
  }
  for (uint32_t m = 0; m < spec.maps.size(); ++m) {
    plan.maps[spec.maps[m].name] = map_indices.at(spec.maps[m].name);
    if (!object.liveness.maps[m]) plan.skip_maps.push_back(spec.maps[m].name);
  }
  for (uint32_t s = 0; s < spec.data_sections.size(); ++s) {
    const std::string& name = spec.data_sections[s].name;
    // libbpf itself fills and maps .kconfig, whatever refers to it.
    if (!object.liveness.data_sections[s] && name != ".kconfig") plan.skip_maps.push_back(name);
  }
  return plan;
}

}  // namespace

const MapPlan* LoadPlan::FindMap(const std::string& name) const {
  auto at = std::lower_bound(maps.begin(), maps.end(), name,
                             [](const MapPlan& map, const std::string& n) { return map.name < n; });
  return at != maps.end() && at->name == name ? &*at : nullptr;
}

const ProgramPlan* LoadPlan::FindProgram(const std::string& object, const std::string& name) const {
  for (const ProgramPlan& program : programs) {
    if (program.object == object && program.name == name) return &program;
  }
  return nullptr;
}

absl::StatusOr<LoadPlan> Make(const std::vector<AnalyzedObject>& objects,
                              const settings::Settings& settings, const CostFacts& facts) {
  LoadPlan plan;
  MapPlanner maps(settings, facts);
  std::vector<Verdicts> verdicts;
  for (const AnalyzedObject& object : objects) {
    verdicts.push_back(Judge(object));
    RETURN_IF_ERROR(maps.Add(object, verdicts.back()));
    std::vector<ProgramPlan> programs = PlanPrograms(object, verdicts.back());
    std::move(programs.begin(), programs.end(), std::back_inserter(plan.programs));
  }
  std::sort(plan.programs.begin(), plan.programs.end(),
            [](const ProgramPlan& a, const ProgramPlan& b) {
              return std::tie(a.object, a.name) < std::tie(b.object, b.name);
            });
  plan.maps = maps.Finish();
  std::map<std::string, size_t> indices;
  for (size_t i = 0; i < plan.maps.size(); ++i) indices[plan.maps[i].name] = i;
  for (size_t i = 0; i < objects.size(); ++i) {
    plan.objects.push_back(PlanObject(objects[i], verdicts[i], indices));
  }
  return plan;
}

}  // namespace bonsai::plan
