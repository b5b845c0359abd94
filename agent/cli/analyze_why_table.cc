// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_why_table.h"

#include <fmt/format.h>

#include "agent/cli/units.h"
#include "agent/cli/why_rows.h"

namespace bonsai::cli {
namespace {

using object::ObjectSpec;
using reachability::Change;
using reachability::ConstantValue;
using reachability::Deciding;
using reachability::Explanation;
using reachability::Place;
using reachability::Step;
using reachability::Thing;
using reachability::ThingKind;
using reachability::WhatIf;

Table::Column Left(const char* title) { return {title, Table::Align::kLeft}; }

std::string Values(const std::vector<ConstantValue>& constants) {
  std::string text;
  for (const ConstantValue& constant : constants) {
    text += (text.empty() ? "" : ", ") + ValueWords(constant.name, constant.value);
  }
  return text;
}

WhyPlace Row(const ObjectSpec& object, const Place& place) {
  return {.function = object.functions[place.function].name, .slot = place.slot,
          .file = place.file, .text = place.text, .line = place.line};
}

std::string DecidingPlaces(const ObjectSpec& object, const Explanation& why, Style style) {
  if (!why.referred) return "Nothing refers to it.\n";
  if (why.deciding.empty()) return "";
  std::vector<DecidingRow> rows;
  for (const Deciding& deciding : why.deciding) {
    rows.push_back({Values(deciding.constants), WordsFor(deciding.kind, deciding.taken),
                    Row(object, deciding.place), deciding.direct});
  }
  return DecidingTable(rows, style) + (why.complete ? "" : "There are more such places.\n");
}

std::string Witness(const ObjectSpec& object, const Explanation& why, Style style) {
  std::vector<StepRow> rows;
  for (const Step& step : why.witness) {
    rows.push_back({WordsFor(step.kind, step.name, Values(step.constants), step.taken, step.tail),
                    Row(object, step.place), step.kind == Step::Kind::kBranch && !step.needed});
  }
  return WayTable(rows, style);
}

std::string Setting(const Change& change) { return change.name + "=" + change.to; }

// "title" and one line for each change; `none` without any.
std::string Changes(const std::string& title, const std::vector<Change>& changes,
                    const std::string& none) {
  if (changes.empty()) return none + "\n";
  std::string text = title + "\n";
  for (const Change& change : changes) {
    text += fmt::format("  {}  (now {})\n", Printable(Setting(change)),
                        Printable(change.from));
  }
  return text;
}

std::string Why(const Analysis& analysis, const Answer& answer, Style style) {
  const ObjectSpec& object = analysis.object;
  const Explanation& why = answer.explanation;
  const std::string title = fmt::format("{} {} is {}\n", KindName(why.thing.kind),
                                        Printable(NameOf(object, why.thing)),
                                        why.live ? "live" : "dead");
  if (why.live) {
    return title + Witness(object, why, style) +
           Changes("Cut by any one of", answer.alone,
                   "No value of an integer that was tried cuts it.");
  }
  const std::string places = title + DecidingPlaces(object, why, style);
  if (!why.referred) return places;
  if (answer.together.empty()) {
    return places + Changes("Brought by any one of", answer.alone,
                            "No values of integers that were tried bring it.");
  }
  return places + Changes("Brought by all of", answer.together, "");
}

std::string Names(const ObjectSpec& object, const std::vector<Thing>& things, ThingKind kind) {
  std::string names;
  for (const Thing thing : things) {
    if (thing.kind == kind) names += (names.empty() ? "" : " ") + NameOf(object, thing);
  }
  return names;
}

std::string WhatIfTable(const ObjectSpec& object, const WhatIf& what_if, double seconds,
                        Style style) {
  Table table(style, {Left("CHANGE"), Left("NOW"), Left("EFFECT"), Left("KIND"), Left("NAMES")});
  for (const reachability::Outcomes& outcomes : what_if.changes) {
    const Change& change = outcomes.change;
    const std::string setting = Setting(change);
    const auto add = [&](const char* effect, const std::vector<Thing>& things, Colour colour) {
      for (const ThingKind kind : {ThingKind::kMap, ThingKind::kProgram, ThingKind::kFunction}) {
        const std::string names = Names(object, things, kind);
        if (names.empty()) continue;
        table.Add({setting, change.from, effect, KindName(kind), names}, colour);
      }
    };
    add("gone", outcomes.gone, Colour::kRed);
    add("come", outcomes.come, Colour::kGreen);
    const bool nothing = outcomes.gone.empty() && outcomes.come.empty();
    if (nothing) table.Add({setting, change.from, "none", "", ""}, Colour::kDim);
  }
  return fmt::format("{} of a single constant tried in {:.1f} ms\n"
                     "Not tried: {} that no live code reads, {} that are no integers\n",
                     Plural(what_if.changes.size(), "change"), seconds * 1000,
                     what_if.unread.size(), what_if.no_numbers.size()) +
         table.Text();
}

}  // namespace

std::string AnswersTable(const Analysis& analysis, const Answers& answers, Style style) {
  std::string text;
  for (const Answer& answer : answers.why) {
    text += (text.empty() ? "" : "\n") + Why(analysis, answer, style);
  }
  if (answers.what_if) {
    text += (text.empty() ? "" : "\n") + WhatIfTable(analysis.object, *answers.what_if,
                                                     answers.what_if_seconds, style);
  }
  return text;
}

}  // namespace bonsai::cli
