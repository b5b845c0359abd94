// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <vector>

#include "agent/cli/render.h"
#include "agent/cli/units.h"

namespace bonsai::cli {
namespace {

constexpr auto kRight = Table::Align::kRight;
constexpr size_t kColumns = 80;
constexpr size_t kLines = 23;  // of 24: the last one is the shell's
constexpr int kSettingsShown = 5, kRefusalsShown = 6;
constexpr size_t kFewestMapsShown = 3;

struct Sign {
  const char* text;
  Colour colour;
};
Sign SignOf(v1::ChangeKind kind) {
  switch (kind) {
    case v1::CHANGE_KIND_ADDED: return {"+", Colour::kGreen};
    case v1::CHANGE_KIND_REMOVED: return {"-", Colour::kRed};
    case v1::CHANGE_KIND_CHANGED: return {"~", Colour::kYellow};
    default: return {"?", Colour::kNone};
  }
}

std::string ClassWord(v1::ReloadClass reload_class) {
  switch (reload_class) {
    case v1::RELOAD_CLASS_LIVE: return "live";
    case v1::RELOAD_CLASS_RELOAD: return "reload";
    case v1::RELOAD_CLASS_MIGRATE: return "migrate";
    default: return "unknown";
  }
}

int64_t Growth(const v1::MapChange& map) {
  return static_cast<int64_t>(map.bytes_after()) - static_cast<int64_t>(map.bytes_before());
}

std::string More(size_t hidden, const std::string& one) {
  return fmt::format("  ... and {}: agentctl plan -o json\n", Plural(hidden, "more " + one));
}

// What a value is shown as, so that the line stays one.
std::string Short(const std::string& value) {
  constexpr size_t kRoom = 22;
  const std::string text = value.empty() ? "\"\"" : Printable(value);
  return text.size() <= kRoom ? text : text.substr(0, kRoom - 3) + "...";
}

std::string Paragraph(const std::string& lead, const std::string& text) {
  std::string lines;
  for (const std::string& line : Wrap(Printable(text), kColumns - 4)) {
    lines += (lines.empty() ? lead : "    ") + line + "\n";
  }
  return lines;
}

std::string Refusals(const v1::PlanChangeResponse& plan, Style style) {
  std::string text;
  const int shown = std::min(plan.refusals_size(), kRefusalsShown);
  for (int i = 0; i < shown; ++i) {
    text += style.Paint(Colour::kRed, Paragraph("! ", plan.refusals(i).message()));
  }
  const size_t hidden = plan.refusals_size() - shown;
  return hidden ? text + More(hidden, "refusal") : text;
}

std::string Settings(const v1::PlanChangeResponse& plan, Style style) {
  Table table(style, {{"  SETTING"}, {"NOW"}, {"THEN"}, {"CLASS"}});
  const int shown = std::min(plan.settings_size(), kSettingsShown);
  for (int i = 0; i < shown; ++i) {
    const v1::SettingChange& setting = plan.settings(i);
    table.Add({"~ " + setting.key(), Short(setting.before()), Short(setting.after()),
               ClassWord(setting.reload_class())}, Colour::kYellow);
  }
  const size_t hidden = plan.settings_size() - shown;
  return shown == 0 ? "" : table.Text() + (hidden ? More(hidden, "setting") : "");
}

// Those that change most first: what is left out is least.
std::string Maps(const v1::PlanChangeResponse& plan, Style style, size_t lines) {
  std::vector<const v1::MapChange*> maps;
  for (const v1::MapChange& map : plan.maps()) maps.push_back(&map);
  std::stable_sort(maps.begin(), maps.end(), [](const auto* a, const auto* b) {
    return std::llabs(Growth(*a)) > std::llabs(Growth(*b));
  });
  Table table(style, {{"  MAP"}, {"FEATURE"}, {"ROOM", kRight}, {"THEN", kRight},
                      {"MEMORY", kRight}, {"THEN", kRight}, {"CHANGE", kRight}});
  size_t shown = maps.size();
  // A line for the titles, and one for those that are left out.
  if (shown + 1 > lines) shown = std::min(shown, std::max(lines, kFewestMapsShown + 2) - 2);
  for (size_t i = 0; i < shown; ++i) {
    const v1::MapChange& map = *maps[i];
    const bool before = map.kind() != v1::CHANGE_KIND_ADDED;
    const bool after = map.kind() != v1::CHANGE_KIND_REMOVED;
    const Sign sign = SignOf(map.kind());
    table.Add({fmt::format("{} {}", sign.text, map.name()), map.feature(),
               before ? Count(map.entries_before()) : "-", after ? Count(map.entries_after()) : "-",
               before ? Bytes(map.bytes_before()) : "-", after ? Bytes(map.bytes_after()) : "-",
               SignedBytes(Growth(map))}, sign.colour);
  }
  const size_t hidden = maps.size() - shown;
  return shown == 0 ? "" : table.Text() + (hidden ? More(hidden, "map") : "");
}

int64_t Growth(const v1::ProgramChange& program) {
  return static_cast<int64_t>(program.instructions_after()) -
         static_cast<int64_t>(program.instructions_before());
}

// Names of what comes and goes, a line an object; of the others there are too many.
std::string Programs(const v1::PlanChangeResponse& plan, Style style) {
  std::map<std::pair<std::string, v1::ChangeKind>, std::string> names;
  std::map<std::pair<std::string, v1::ChangeKind>, int64_t> growths;
  size_t changed = 0;
  int64_t growth = 0;
  for (const v1::ProgramChange& program : plan.programs()) {
    if (program.kind() == v1::CHANGE_KIND_CHANGED) {
      ++changed;
      growth += Growth(program);
      continue;
    }
    const auto key = std::pair(program.object(), program.kind());
    names[key] += " " + program.name();
    growths[key] += Growth(program);
  }
  std::string text;
  for (const auto& [key, list] : names) {
    const Sign sign = SignOf(key.second);
    const std::string line = fmt::format("{}:{}; {} instructions", key.first, list,
                                         SignedCount(growths[key]));
    text += style.Paint(sign.colour, Paragraph(fmt::format("{} ", sign.text), line));
  }
  if (changed) {
    const std::string line = fmt::format("{} with other live code; {} instructions",
                                         Plural(changed, "program"), SignedCount(growth));
    text += style.Paint(Colour::kYellow, Paragraph("~ ", line));
  }
  return text.empty() ? "" : "  PROGRAMS\n" + text;
}

std::string Totals(const v1::PlanChangeResponse& plan) {
  const v1::PlanTotals& now = plan.before();
  const v1::PlanTotals& then = plan.after();
  const auto counts = [](const char* what, uint64_t before, uint64_t after) {
    if (before == after) return fmt::format("; {} {}", what, Count(before));
    return fmt::format("; {} {} -> {}", what, Count(before), Count(after));
  };
  std::string text = "In all: map memory " + Bytes(now.bytes());
  if (now.bytes() != then.bytes()) {
    const auto growth = static_cast<int64_t>(then.bytes()) - static_cast<int64_t>(now.bytes());
    text += fmt::format(" -> {} ({})", Bytes(then.bytes()), SignedBytes(growth));
  }
  text += counts("maps", now.maps(), then.maps());
  text += counts("programs", now.programs(), then.programs());
  text += counts("tail calls", now.tail_calls(), then.tail_calls());
  text += counts("instructions", now.live_instructions(), then.live_instructions());
  return Paragraph("", text);
}

std::string Head(const v1::PlanChangeResponse& plan, Style style) {
  const bool changes = plan.settings_size() + plan.maps_size() + plan.programs_size() > 0;
  std::string text = plan.generation() ? fmt::format("Against generation {}: ", plan.generation())
                                       : "Without an agent: ";
  if (!plan.accepted()) {
    text += style.Paint(Colour::kRed, "would be refused");
  } else if (!changes) {
    text += "nothing changes";
  } else {
    text += "would be applied, class " + ClassWord(plan.reload_class());
  }
  if (plan.planned() && !plan.bytes_measured()) text += "; bytes as of kernel 6.18, not measured";
  return text + "\n";
}

}  // namespace

std::string Render(const v1::PlanChangeResponse& plan, Style style) {
  std::string text = Head(plan, style) + Refusals(plan, style);
  if (!plan.planned()) return text;
  text += Settings(plan, style);
  const std::string rest = Programs(plan, style) + Totals(plan);
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n') +
                                         std::count(rest.begin(), rest.end(), '\n'));
  return text + Maps(plan, style, kLines - std::min(lines, kLines)) + rest;
}

}  // namespace bonsai::cli
