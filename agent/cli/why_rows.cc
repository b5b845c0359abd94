// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/why_rows.h"

#include <fmt/format.h>

#include "agent/settings/text.h"

namespace bonsai::cli {
namespace {

using reachability::Deciding;
using reachability::Step;

Table::Column Left(const char* title) { return {title, Table::Align::kLeft}; }

// The cells CODE, LINE and SOURCE.
void AddPlace(const WhyPlace& place, std::vector<std::string>& cells) {
  const std::string file = place.file.substr(place.file.rfind('/') + 1);
  cells.push_back(fmt::format("{}+{}", place.function, place.slot));
  cells.push_back(file.empty() ? "" : fmt::format("{}:{}", file, place.line));
  cells.push_back(settings::Trim(place.text));
}

const char* Jump(bool taken) { return taken ? "jump taken" : "jump not taken"; }

}  // namespace

std::string DecidingTable(const std::vector<DecidingRow>& rows, Style style) {
  Table table(style, {Left("DECIDED BY"), Left("SO THAT"), Left("CODE"), Left("LINE"),
                      Left("SOURCE")});
  for (const DecidingRow& row : rows) {
    std::vector<std::string> cells{row.values, row.what};
    AddPlace(row.place, cells);
    table.Add(std::move(cells), row.direct ? Colour::kNone : Colour::kDim);
  }
  return table.Text();
}

std::string WayTable(const std::vector<StepRow>& rows, Style style) {
  Table table(style, {Left("WAY TO IT"), Left("CODE"), Left("LINE"), Left("SOURCE")});
  for (const StepRow& row : rows) {
    std::vector<std::string> cells{row.what};
    AddPlace(row.place, cells);
    table.Add(std::move(cells), row.aside ? Colour::kDim : Colour::kNone);
  }
  return table.Text();
}

std::string WordsFor(Deciding::Kind kind, bool taken) {
  switch (kind) {
    case Deciding::Kind::kBranch: return Jump(taken);
    case Deciding::Kind::kTailCall: return "tail call to other slots";
    case Deciding::Kind::kCall: return "call that never returns";
  }
  return "";
}

std::string WordsFor(Step::Kind kind, const std::string& name, const std::string& values,
                     bool taken, const object::TailSlot& tail) {
  switch (kind) {
    case Step::Kind::kEntry: return "start of " + name;
    case Step::Kind::kTailCall:
      return fmt::format("tail call {}/{} to {}", tail.map, tail.slot, name);
    case Step::Kind::kCall: return "call of " + name;
    case Step::Kind::kCallback: return "callback " + name;
    case Step::Kind::kBranch: return fmt::format("{}, {}", values, Jump(taken));
    case Step::Kind::kReference: return "map " + name;
    case Step::Kind::kHeld: return "which holds " + name;
  }
  return "";
}

std::string ValueWords(const std::string& name, const std::string& value) {
  return value.empty() ? name : name + " = " + value;
}

}  // namespace bonsai::cli
