// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/base/status.h"
#include "agent/cli/units.h"
#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/reachability/liveness.h"

namespace bonsai::cli {
namespace {

using nlohmann::ordered_json;

std::optional<int64_t> ParseNumber(const std::string& text) {
  if (text == "true") return 1;
  if (text == "false") return 0;
  const bool hex = text.starts_with("0x");
  const char* end = text.data() + text.size();
  int64_t value = 0;
  const auto [stop, error] =
      std::from_chars(text.data() + (hex ? 2 : 0), end, value, hex ? 16 : 10);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

absl::Status Assign(const object::ObjectSpec& spec, const std::string& assignment,
                    constants::ConstantSet& set) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    return base::InvalidArgument("setting \"{}\": expected name=value", assignment);
  }
  std::string name = assignment.substr(0, equals);
  std::replace(name.begin(), name.end(), '-', '_');
  const auto value = ParseNumber(assignment.substr(equals + 1));
  if (!value) {
    return base::InvalidArgument("setting \"{}\": the value is no number, true or false", assignment);
  }
  return constants::Override(spec, name, *value, set);
}

ordered_json Programs(const object::ObjectSpec& spec, const reachability::Liveness& liveness) {
  ordered_json rows = ordered_json::array();
  for (size_t i = 0; i < spec.programs.size(); ++i) {
    const object::Program& program = spec.programs[i];
    ordered_json maps = ordered_json::array();
    for (uint32_t map : liveness.programs[i].maps) maps.push_back(spec.maps[map].name);
    const std::string tail =
        program.tail ? program.tail->map + "/" + std::to_string(program.tail->slot) : "";
    rows.push_back({{"name", program.name},
                    {"section", program.section},
                    {"tail_call", tail},
                    {"live", liveness.programs[i].live},
                    {"reason", liveness.program_reasons[i]},
                    {"maps", maps}});
  }
  return rows;
}

ordered_json Maps(const object::ObjectSpec& spec, const reachability::Liveness& liveness) {
  ordered_json rows = ordered_json::array();
  for (size_t i = 0; i < spec.maps.size(); ++i) {
    rows.push_back({{"name", spec.maps[i].name},
                    {"feature", spec.maps[i].feature},
                    {"max_entries", spec.maps[i].max_entries},
                    {"live", bool(liveness.maps[i])},
                    {"reason", liveness.map_reasons[i]}});
  }
  return rows;
}

std::string Text(const ordered_json& row, const char* key) {
  return row[key].get<std::string>();
}

std::string Reason(const ordered_json& row) {
  if (row["live"].get<bool>()) return Text(row, "reason");
  const std::string reason = Text(row, "reason");
  return reason.empty() ? "nothing refers to it" : reason;
}

Table::Column Left(const char* title) { return {title, Table::Align::kLeft}; }

}  // namespace

absl::StatusOr<ordered_json> Analyze(const std::string& path,
                                     const std::vector<std::string>& assignments) {
  ASSIGN_OR_RETURN(const object::ObjectSpec spec, object::Read(path));
  constants::ConstantSet set = constants::Defaults(spec);
  for (const std::string& assignment : assignments) {
    RETURN_IF_ERROR(Assign(spec, assignment, set));
  }
  ASSIGN_OR_RETURN(reachability::Liveness liveness, reachability::Analyze(spec, set));
  reachability::Explain(spec, set, liveness);
  return ordered_json{{"object", spec.name},
                      {"live_instructions", liveness.live_insns},
                      {"total_instructions", liveness.total_insns},
                      {"programs", Programs(spec, liveness)},
                      {"maps", Maps(spec, liveness)}};
}

std::string RenderAnalysis(const ordered_json& analysis, Style style) {
  Table programs(style, {Left("PROGRAM"), Left("STATE"), Left("SECTION"), Left("TAIL CALL"),
                         Left("REASON")});
  for (const ordered_json& row : analysis["programs"]) {
    const bool live = row["live"].get<bool>();
    programs.Add({Text(row, "name"), live ? "live" : "dead", Text(row, "section"),
                  Text(row, "tail_call"), Reason(row)}, live ? Colour::kNone : Colour::kDim);
  }
  Table maps(style, {Left("MAP"), Left("STATE"), Left("FEATURE"), Left("REASON")});
  for (const ordered_json& row : analysis["maps"]) {
    const bool live = row["live"].get<bool>();
    maps.Add({Text(row, "name"), live ? "live" : "dead", Text(row, "feature"), Reason(row)},
             live ? Colour::kNone : Colour::kDim);
  }
  const std::string head =
      Printable(Text(analysis, "object")) + ": " +
      Count(analysis["live_instructions"].get<uint64_t>()) + " of " +
      Count(analysis["total_instructions"].get<uint64_t>()) + " instructions can be reached\n\n";
  return head + programs.Text() + "\n" + maps.Text();
}

}  // namespace bonsai::cli
