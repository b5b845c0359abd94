// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>

#include "agent/cli/render.h"
#include "agent/cli/units.h"
#include "agent/cli/why_rows.h"
#include "agent/settings/text.h"

namespace bonsai::cli {
namespace {

using reachability::Deciding;
using reachability::Step;
using Names = google::protobuf::RepeatedPtrField<std::string>;

constexpr int kMostRows = 12;  // of branches and reads; -o json has all

Table::Column Left(const char* title) { return {title, Table::Align::kLeft}; }
Table::Column Right(const char* title) { return {title, Table::Align::kRight}; }

std::string Joined(const Names& names, const char* separator) {
  return fmt::format("{}", fmt::join(names, separator));
}

const char* KindWord(v1::ExplainKind kind) {
  switch (kind) {
    case v1::EXPLAIN_KIND_MAP: return "map";
    case v1::EXPLAIN_KIND_PROGRAM: return "program";
    case v1::EXPLAIN_KIND_FUNCTION: return "function";
    case v1::EXPLAIN_KIND_SETTING: return "setting";
    default: return "?";
  }
}

// Constants by the name that an operator knows.
template <typename Constants>
std::string Values(const Constants& constants) {
  std::string text;
  for (const v1::ExplainConstant& constant : constants) {
    const std::string& name = constant.setting().empty() ? constant.name() : constant.setting();
    text += (text.empty() ? "" : ", ") + ValueWords(name, constant.value());
  }
  return text;
}

WhyPlace Row(const v1::ExplainPlace& place) {
  return {.function = place.function(), .slot = place.slot(), .file = place.file(),
          .text = place.text(), .line = place.line()};
}

// The kinds of the contract are those of the engine, after one for "unspecified".
DecidingRow Row(const v1::ExplainDeciding& deciding) {
  const auto kind = static_cast<Deciding::Kind>(deciding.kind() - 1);
  return {Values(deciding.constants()), WordsFor(kind, deciding.taken()), Row(deciding.place()),
          deciding.direct()};
}

StepRow Row(const v1::ExplainStep& step) {
  const auto kind = static_cast<Step::Kind>(step.kind() - 1);
  return {WordsFor(kind, step.name(), Values(step.constants()), step.taken(),
                   {step.tail_map(), step.tail_slot()}),
          Row(step.place()), kind == Step::Kind::kBranch && !step.needed()};
}

std::string ObjectText(const v1::ExplainObject& object, Style style) {
  std::string text = "\nIn " + object.object();
  if (object.used()) {
    std::vector<StepRow> rows;
    for (const v1::ExplainStep& step : object.witness()) rows.push_back(Row(step));
    return text + "\n" + WayTable(rows, style);
  }
  text += object.inert() ? ", whose entry program could only let every packet pass\n" : "\n";
  if (object.deciding().empty()) return text + "no branch decides it\n";
  std::vector<DecidingRow> rows;
  for (const v1::ExplainDeciding& deciding : object.deciding()) rows.push_back(Row(deciding));
  text += DecidingTable(rows, style);
  return text + (object.complete() || object.inert() ? "" : "There are more such places.\n");
}

std::string Signed(int64_t bytes) {
  if (bytes == 0) return "0";
  const auto size = bytes < 0 ? -static_cast<uint64_t>(bytes) : static_cast<uint64_t>(bytes);
  return (bytes < 0 ? "-" : "+") + Bytes(size);
}

std::string Shown(const Names& names, const Names& besides = {}) {
  const std::set<std::string> known(besides.begin(), besides.end());
  std::string text;
  for (const std::string& name : names) {
    if (!known.contains(name)) text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

// One row a kind of things; the first has the change and its bytes.
void AddEffect(const v1::ExplainEffect& effect, Table& table) {
  std::string change, now;
  for (const v1::ExplainChange& one : effect.changes()) {
    change += (change.empty() ? "" : " ") + one.setting() + "=" + one.to();
    now += (now.empty() ? "" : " ") + one.from();
  }
  std::vector<std::string> head{change, now, Signed(effect.map_bytes()),
                                Signed(effect.program_bytes())};
  bool first = true;
  const auto add = [&](const char* what, const char* kind, const std::string& names, Colour colour) {
    if (names.empty() && (!first || *kind != '\0')) return;
    std::vector<std::string> cells = first ? head : std::vector<std::string>(head.size());
    cells.insert(cells.end(), {what, kind, names});
    table.Add(std::move(cells), colour);
    first = false;
  };
  // Every program is a function, too; said once.
  add("goes", "map", Shown(effect.maps_go()), Colour::kRed);
  add("goes", "program", Shown(effect.programs_go()), Colour::kRed);
  add("goes", "function", Shown(effect.functions_go(), effect.programs_go()), Colour::kRed);
  add("comes", "map", Shown(effect.maps_come()), Colour::kGreen);
  add("comes", "program", Shown(effect.programs_come()), Colour::kGreen);
  add("comes", "function", Shown(effect.functions_come(), effect.programs_come()), Colour::kGreen);
  add("", "", "", Colour::kNone);
}

template <typename Effects>
std::string EffectsTable(const Effects& effects, Style style) {
  Table table(style, {Left("CHANGE"), Left("NOW"), Right("MAPS"), Right("CODE"), Left("EFFECT"),
                      Left("KIND"), Left("NAMES")});
  for (const v1::ExplainEffect& effect : effects) AddEffect(effect, table);
  return table.Text();
}

std::string Remedies(const v1::ExplainThing& thing, bool exists, Style style) {
  const char* verb = exists ? "removes it" : "brings it";
  if (!thing.alone().empty()) {
    return fmt::format("\nAny one of these {}\n", verb) + EffectsTable(thing.alone(), style);
  }
  if (!thing.has_together()) {
    return fmt::format("\nNo setting that was tried {}.\n", verb);
  }
  return fmt::format("\nOnly all of these together {}\n", exists ? "remove it" : "bring it") +
         EffectsTable(std::vector<v1::ExplainEffect>{thing.together()}, style);
}

std::string ThingTitle(const v1::ExplainResponse& answer, bool exists) {
  const v1::ExplainThing& thing = answer.thing();
  std::string text = fmt::format("{} {} {}", KindWord(answer.kind()), answer.name(),
                                 exists ? "exists" : "does not exist");
  if (answer.kind() != v1::EXPLAIN_KIND_FUNCTION) {
    text += fmt::format("{} {}", exists ? ":" : "; it would take", Bytes(thing.bytes()));
  }
  if (answer.kind() == v1::EXPLAIN_KIND_PROGRAM) text += " of machine code";
  if (thing.full_bytes() > thing.bytes()) text += fmt::format(", {} full", Bytes(thing.full_bytes()));
  if (!thing.sized_by().empty()) {
    text += fmt::format(", {} = {}", thing.sized_by(), thing.max_entries());
  }
  if (thing.instructions() > 0) {
    text += fmt::format(", {} of {} instructions can be reached",
                        Count(thing.live_instructions()), Count(thing.instructions()));
  }
  if (!thing.feature().empty()) text += ", feature " + thing.feature();
  return text + "\n";
}

std::string RenderThing(const v1::ExplainResponse& answer, Style style) {
  const v1::ExplainThing& thing = answer.thing();
  const bool exists = thing.state() == v1::LOAD_STATE_LOADED;
  std::string text = ThingTitle(answer, exists);
  if (!thing.reason().empty()) text += thing.reason() + "\n";
  if (thing.kept_for_verifier()) {
    text += "The configuration cannot reach it; it was made because a verifier walked into it.\n";
  }
  for (const v1::ExplainObject& object : thing.objects()) text += ObjectText(object, style);
  if (thing.objects().empty()) text += "Nothing refers to it.\n";
  return text + Remedies(thing, exists && !thing.kept_for_verifier(), style);
}

std::string Uses(const v1::ExplainSetting& setting, Style style) {
  Table table(style, {Left("OBJECT"), Left("IN CODE"), Left("LINE"), Left("SOURCE")});
  const auto add = [&](const std::string& object, const std::string& what,
                       const v1::ExplainPlace& place) {
    const std::string file = place.file().substr(place.file().rfind('/') + 1);
    table.Add({object, what, file.empty() ? "" : fmt::format("{}:{}", file, place.line()),
               settings::Trim(place.text())});
  };
  int left_out = 0;
  for (const v1::ExplainSettingUse& use : setting.uses()) {
    int rows = 0;
    for (const v1::ExplainDeciding& branch : use.branches()) {
      if (++rows > kMostRows) continue;
      add(use.object(), Row(branch).what, branch.place());
    }
    for (const v1::ExplainPlace& place : use.reads()) {
      const bool branches = !use.branches().empty();  // they say more
      if (!branches && ++rows <= kMostRows) add(use.object(), "read", place);
    }
    if (rows == 0) table.Add({use.object(), "no code that can run reads it", "", ""});
    left_out += std::max(0, rows - kMostRows);
  }
  if (setting.uses().empty()) return "";
  return "\n" + table.Text() +
         (left_out > 0 ? fmt::format("and {} (-o json)\n", Plural(left_out, "more line")) : "");
}

std::string RenderSetting(const v1::ExplainResponse& answer, Style style) {
  const v1::ExplainSetting& more = answer.setting();
  const v1::Setting& setting = more.setting();
  std::string text = fmt::format("setting {} = {} ({}), feature {}\n{}\n", setting.key(),
                                 setting.value(), setting.is_given() ? "configured" : "default",
                                 setting.feature(), setting.doc());
  text += fmt::format("Allowed: {}; default {}.", setting.allowed(), setting.default_value());
  if (!setting.required_keys().empty()) {
    text += " Needs " + Joined(setting.required_keys(), ", ") + ".";
  }
  if (!more.required_by().empty()) text += " Needed by " + Joined(more.required_by(), ", ") + ".";
  text += fmt::format("\nA change of it is of class {}.\n", more.reload_class());
  if (!more.sizes().empty()) text += "Gives the size of map " + Joined(more.sizes(), ", ") + ".\n";
  text += Uses(more, style);
  if (more.effects().empty()) return text;
  return text + "\nOther values\n" + EffectsTable(more.effects(), style);
}

}  // namespace

std::string Render(const v1::ExplainResponse& answer, Style style) {
  if (answer.has_setting()) return RenderSetting(answer, style);
  if (answer.has_thing()) return RenderThing(answer, style);
  std::string text;
  for (const std::string& name : answer.names()) text += Printable(name) + "\n";
  return text;
}

}  // namespace bonsai::cli
