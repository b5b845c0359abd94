// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/cli/units.h"

namespace bonsai::cli {
namespace {

constexpr size_t kColumns = 80;

Table::Column Left(const char* title) { return {title, Table::Align::kLeft}; }
Table::Column Right(const char* title) { return {title, Table::Align::kRight}; }

std::string LiveOf(uint64_t live, uint64_t all) {
  return fmt::format("{} of {}", Count(live), Count(all));
}

std::string Totals(const Analysis& analysis) {
  const auto& liveness = analysis.liveness;
  const auto is_live = [](const auto& item) { return item.live; };
  const auto programs = std::count_if(liveness.programs.begin(), liveness.programs.end(), is_live);
  const auto functions =
      std::count_if(liveness.functions.begin(), liveness.functions.end(), is_live);
  const auto maps = std::count(liveness.maps.begin(), liveness.maps.end(), true);
  return fmt::format(
      "{}: {} instructions can be reached\n{} programs, {} maps, {} functions are live\n",
      Printable(analysis.path), LiveOf(liveness.live_insns, liveness.total_insns),
      LiveOf(programs, liveness.programs.size()), LiveOf(maps, liveness.maps.size()),
      LiveOf(functions, liveness.functions.size()));
}

// "title" and names below it, wrapped; "" without names.
std::string Names(const std::string& title, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + Printable(name);
  std::string block = "\n" + title + "\n";
  for (const std::string& line : Wrap(text, kColumns - 2)) block += "  " + line + "\n";
  return block;
}

std::string Programs(const Analysis& analysis, const Facts& facts, Style style) {
  Table table(style, {Left("PROGRAM"), Left("STATE"), Left("KIND"), Left("SECTION"), Right("SLOTS"),
                      Right("MAPS"), Left("REASON")});
  for (size_t i = 0; i < facts.programs.size(); ++i) {
    const object::Program& program = analysis.object.programs[i];
    const ProgramFacts& fact = facts.programs[i];
    const bool live = analysis.liveness.programs[i].live;
    table.Add({program.name, live ? "live" : "dead", analysis.entries[i] ? "entry" : "tail",
               program.section, LiveOf(fact.live_slots, fact.slots),
               LiveOf(fact.live_maps.size(), fact.live_maps.size() + fact.dead_maps.size()),
               facts.program_reasons[i]},
              live ? Colour::kNone : Colour::kDim);
  }
  return "\n" + table.Text();
}

std::string Maps(const Analysis& analysis, const Facts& facts, Style style) {
  std::vector<std::string> live;
  Table table(style, {Left("DEAD MAP"), Left("FEATURE"), Left("REASON")});
  for (size_t i = 0; i < analysis.object.maps.size(); ++i) {
    const object::Map& map = analysis.object.maps[i];
    if (analysis.liveness.maps[i]) {
      live.push_back(map.name);
    } else {
      table.Add({map.name, map.feature, facts.map_reasons[i]}, Colour::kDim);
    }
  }
  const bool any_dead = live.size() < analysis.object.maps.size();
  return (any_dead ? "\n" + table.Text() : "") + Names("LIVE MAPS", live);
}

std::string DeadFunctions(const Analysis& analysis) {
  std::vector<std::string> dead;
  for (size_t i = 0; i < analysis.object.functions.size(); ++i) {
    if (!analysis.liveness.functions[i].live) dead.push_back(analysis.object.functions[i].name);
  }
  return Names("DEAD FUNCTIONS", dead);
}

}  // namespace

std::string AnalysisTable(const Analysis& analysis, const Facts& facts, Style style) {
  return Totals(analysis) + Programs(analysis, facts, style) + Maps(analysis, facts, style) +
         DeadFunctions(analysis);
}

}  // namespace bonsai::cli
