// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_dot.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

namespace bonsai::cli {
namespace {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;

// A quoted string of JSON is one of DOT, too: both escape quotes and backslashes alike, and no
// control character is left.
std::string Quote(const std::string& text) {
  using nlohmann::ordered_json;
  return ordered_json(text).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string Style(bool live, const char* style = "") {
  if (!live) return ", color=grey, fontcolor=grey, style=dashed";
  return *style == '\0' ? "" : std::string(", style=") + style;
}

class Graph {
 public:
  Graph(const Analysis& analysis, const Facts& facts)
      : object_(analysis.object), liveness_(analysis.liveness), analysis_(analysis), facts_(facts) {
    for (uint32_t i = 0; i < object_.programs.size(); ++i) {
      nodes_.try_emplace(object_.programs[i].function, fmt::format("p{}", i));
      program_index_.try_emplace(object_.programs[i].name, i);
    }
    for (uint32_t i = 0; i < object_.functions.size(); ++i) {
      nodes_.try_emplace(i, fmt::format("f{}", i));
    }
    for (uint32_t i = 0; i < object_.maps.size(); ++i) {
      map_index_.try_emplace(object_.maps[i].name, i);
    }
    IndexTailPrograms();
  }

  std::string Text() {
    text_ = "digraph " + Quote(analysis_.path) + " {\n";
    text_ += "  rankdir=LR;\n  node [fontname=monospace];\n";
    AddNodes();
    for (uint32_t i = 0; i < object_.functions.size(); ++i) AddReferences(i);
    for (uint32_t i = 0; i < object_.programs.size(); ++i) AddTailCalls(i);
    for (uint32_t i = 0; i < object_.maps.size(); ++i) AddInnerMaps(i);
    return std::move(text_) + "}\n";
  }

 private:
  using Slot = std::pair<std::string, uint32_t>;

  void IndexTailPrograms() {
    for (uint32_t i = 0; i < object_.programs.size(); ++i) {
      const auto& tail = object_.programs[i].tail;
      if (tail) programs_at_[{tail->map, tail->slot}].insert(i);
    }
    for (const object::Map& map : object_.maps) {
      for (const auto& [slot, name] : map.initial_programs) {
        const auto program = program_index_.find(name);
        if (program != program_index_.end()) programs_at_[{map.name, slot}].insert(program->second);
      }
    }
  }

  void Node(const std::string& id, const std::string& label, const char* shape,
            const std::string& style) {
    text_ += fmt::format("  {} [label={}, shape={}{}];\n", id, Quote(label), shape, style);
  }

  void Edge(const std::string& from, const std::string& to, bool live, const std::string& label,
            const char* style = "", const char* arrow = "normal") {
    const std::string text = label.empty() ? "" : ", label=" + Quote(label);
    text_ += fmt::format("  {} -> {} [arrowhead={}{}{}];\n", from, to, arrow, text,
                         Style(live, style));
  }

  void AddNodes() {
    for (uint32_t i = 0; i < object_.programs.size(); ++i) {
      const object::Program& program = object_.programs[i];
      Node(fmt::format("p{}", i), program.name + "\n" + program.section, "box",
           Style(liveness_.programs[i].live, analysis_.entries[i] ? "bold" : ""));
    }
    for (uint32_t i = 0; i < object_.functions.size(); ++i) {
      if (nodes_.at(i)[0] == 'p') continue;
      Node(nodes_.at(i), object_.functions[i].name, "ellipse", Style(liveness_.functions[i].live));
    }
    for (uint32_t i = 0; i < object_.maps.size(); ++i) {
      Node(fmt::format("m{}", i), object_.maps[i].name, "cylinder", Style(liveness_.maps[i]));
    }
  }

  // One edge for each thing that a function names; live when a live instruction does.
  void AddReferences(uint32_t index) {
    std::map<std::pair<RefKind, uint32_t>, bool> edges;
    const std::vector<bool>& live_slots = liveness_.functions[index].live_slots;
    for (const Ref& ref : object_.functions[index].refs) {
      const bool live = ref.slot < live_slots.size() && live_slots[ref.slot];
      const RefKind kind = ref.kind == RefKind::kArena ? RefKind::kMap : ref.kind;
      edges[{kind, ref.index}] |= live && liveness_.functions[index].live;
    }
    for (const auto& [what, live] : edges) {
      const auto& [kind, target] = what;
      if (kind == RefKind::kCall) Edge(nodes_.at(index), nodes_.at(target), live, "");
      if (kind == RefKind::kFunctionAddress) {
        Edge(nodes_.at(index), nodes_.at(target), live, "callback");
      }
      if (kind == RefKind::kMap) {
        Edge(nodes_.at(index), fmt::format("m{}", target), live, "", "dotted", "none");
      }
    }
  }

  // To the programs in a slot; to the array itself when somebody else fills the slot.
  void AddTailCalls(uint32_t index) {
    for (const TailCall& call : facts_.programs[index].tail_calls) {
      const std::string from = fmt::format("p{}", index);
      const std::string label = fmt::format("{}/{}", call.slot.map, call.slot.slot);
      const auto programs = programs_at_.find({call.slot.map, call.slot.slot});
      const auto map = map_index_.find(call.slot.map);
      if (programs != programs_at_.end()) {
        for (const uint32_t to : programs->second) {
          Edge(from, fmt::format("p{}", to), call.live, label, "", "vee");
        }
      } else if (map != map_index_.end()) {
        Edge(from, fmt::format("m{}", map->second), call.live, label, "", "vee");
      }
    }
  }

  void AddInnerMaps(uint32_t index) {
    std::set<uint32_t> inner;
    for (const auto& [slot, name] : object_.maps[index].initial_maps) {
      const auto map = map_index_.find(name);
      if (map != map_index_.end()) inner.insert(map->second);
    }
    for (const uint32_t map : inner) {
      Edge(fmt::format("m{}", index), fmt::format("m{}", map), liveness_.maps[index], "holds",
           "dotted");
    }
  }

  const ObjectSpec& object_;
  const reachability::Liveness& liveness_;
  const Analysis& analysis_;
  const Facts& facts_;
  std::unordered_map<uint32_t, std::string> nodes_;         // function -> node
  std::unordered_map<std::string, uint32_t> map_index_, program_index_;
  std::map<Slot, std::set<uint32_t>> programs_at_;
  std::string text_;
};

}  // namespace

std::string AnalysisDot(const Analysis& analysis, const Facts& facts) {
  return Graph(analysis, facts).Text();
}

}  // namespace bonsai::cli
