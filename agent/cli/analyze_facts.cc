// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_facts.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "agent/cli/tail_sites.h"
#include "agent/cli/units.h"
#include "agent/plan/program_code.h"

namespace bonsai::cli {
namespace {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;
using reachability::ProgramLiveness;
using reachability::SlotRanges;

// What the code of one function names, each thing once.
struct Named {
  std::vector<uint32_t> maps;
  std::vector<TailSite> tails;
};

void SortOut(std::vector<uint32_t>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

std::vector<Named> NamedBy(const ObjectSpec& object) {
  std::vector<Named> all(object.functions.size());
  for (size_t i = 0; i < all.size(); ++i) {
    for (const Ref& ref : object.functions[i].refs) {
      const bool is_map = ref.kind == RefKind::kMap || ref.kind == RefKind::kArena;
      if (is_map) all[i].maps.push_back(ref.index);
    }
    SortOut(all[i].maps);
    all[i].tails = TailSites(object.functions[i]);
  }
  return all;
}

bool Contains(const SlotRanges& ranges, uint32_t slot) {
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), slot,
      [](uint32_t wanted, const auto& range) { return wanted < range.first; });
  return after != ranges.begin() && slot <= std::prev(after)->second;
}

class Collector {
 public:
  explicit Collector(const Analysis& analysis)
      : object_(analysis.object), liveness_(analysis.liveness), named_(NamedBy(analysis.object)) {
    for (uint32_t i = 0; i < object_.maps.size(); ++i) map_index_.emplace(object_.maps[i].name, i);
  }

  ProgramFacts Program(uint32_t index) const {
    const ProgramLiveness& live = liveness_.programs[index];
    ProgramFacts facts{.functions = plan::FunctionsOf(object_, liveness_, index)};
    facts.slots = plan::SlotsOf(object_, facts.functions);
    facts.live_slots = plan::LiveSlotsOf(live);
    facts.live_maps.assign(live.maps.begin(), live.maps.end());
    facts.dead_maps = DeadMaps(live);
    facts.tail_calls = TailCalls(live, facts.functions);
    return facts;
  }

 private:
  std::vector<uint32_t> DeadMaps(const ProgramLiveness& live) const {
    std::vector<uint32_t> maps;
    for (const uint32_t function : live.functions) {
      for (const uint32_t map : named_[function].maps) {
        if (!live.maps.contains(map)) maps.push_back(map);
      }
    }
    SortOut(maps);
    return maps;
  }

  std::vector<TailCall> TailCalls(const ProgramLiveness& live,
                                  const std::vector<uint32_t>& functions) const {
    std::map<std::pair<uint32_t, uint32_t>, bool> slots;  // map and slot -> live
    for (const object::TailSlot& tail : live.tail_calls) {
      const auto map = map_index_.find(tail.map);
      if (map != map_index_.end()) slots[{map->second, tail.slot}] = true;
    }
    for (const uint32_t function : functions) {
      const auto code = live.code.find(function);
      for (const TailSite& site : named_[function].tails) {
        const bool runs = code != live.code.end() && Contains(code->second, site.call);
        if (!runs) slots.try_emplace({site.map, site.slot}, false);
      }
    }
    std::vector<TailCall> calls;
    for (const auto& [slot, is_live] : slots) {
      calls.push_back({{object_.maps[slot.first].name, slot.second}, is_live});
    }
    // Tags may name arrays of other objects.
    for (const object::TailSlot& tail : live.tail_calls) {
      if (!map_index_.contains(tail.map)) calls.push_back({tail, true});
    }
    return calls;
  }

  const ObjectSpec& object_;
  const reachability::Liveness& liveness_;
  const std::vector<Named> named_;
  std::unordered_map<std::string, uint32_t> map_index_;
};

std::string UsedBy(const ObjectSpec& object, const std::vector<uint32_t>& programs) {
  const std::string first = "used by " + object.programs[programs[0]].name;
  if (programs.size() == 1) return first;
  return first + " and " + Plural(programs.size() - 1, "other");
}

// A live map that no code names is in a map of maps that is live.
std::string HeldBy(const ObjectSpec& object, const reachability::Liveness& liveness,
                   const std::string& map) {
  for (uint32_t i = 0; i < object.maps.size(); ++i) {
    if (!liveness.maps[i]) continue;
    for (const auto& [slot, name] : object.maps[i].initial_maps) {
      if (name == map) return "held by " + object.maps[i].name;
    }
  }
  return "";
}

std::vector<std::string> MapReasons(const Analysis& analysis, const Facts& facts) {
  const auto& [object, liveness] = std::tie(analysis.object, analysis.liveness);
  std::vector<std::vector<uint32_t>> users(object.maps.size());
  for (uint32_t i = 0; i < facts.programs.size(); ++i) {
    for (const uint32_t map : facts.programs[i].live_maps) users[map].push_back(i);
  }
  std::vector<std::string> reasons = liveness.map_reasons;
  reasons.resize(object.maps.size());
  for (uint32_t i = 0; i < reasons.size(); ++i) {
    if (!reasons[i].empty()) continue;
    if (!liveness.maps[i]) {
      reasons[i] = "nothing refers to it";
    } else {
      reasons[i] = users[i].empty() ? HeldBy(object, liveness, object.maps[i].name)
                                    : UsedBy(object, users[i]);
    }
  }
  return reasons;
}

std::vector<std::string> ProgramReasons(const Analysis& analysis) {
  std::vector<std::string> reasons = analysis.liveness.program_reasons;
  reasons.resize(analysis.object.programs.size());
  for (size_t i = 0; i < reasons.size(); ++i) {
    if (!analysis.liveness.programs[i].live && reasons[i].empty()) {
      reasons[i] = "nothing jumps to it";
    }
  }
  return reasons;
}

}  // namespace

Facts FactsOf(const Analysis& analysis) {
  const Collector collector(analysis);
  Facts facts;
  for (uint32_t i = 0; i < analysis.object.programs.size(); ++i) {
    facts.programs.push_back(collector.Program(i));
  }
  facts.map_reasons = MapReasons(analysis, facts);
  facts.program_reasons = ProgramReasons(analysis);
  return facts;
}

}  // namespace bonsai::cli
