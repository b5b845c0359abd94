// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "agent/cli/render.h"
#include "agent/cli/life_draw.h"
#include "agent/cli/units.h"

namespace bonsai::cli {
namespace {

constexpr size_t kColumns = 80;
constexpr size_t kLines = 23;  // of 24: the last one is the shell's
constexpr size_t kLabel = 15;
constexpr size_t kMapsShown = 3;
constexpr size_t kAdvicesShown = 2;

// `text` in lines of at most `width` columns, broken after a "; " where one is at hand.
std::vector<std::string> WrapClauses(const std::string& text, size_t width) {
  std::vector<std::string> lines;
  std::string line;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find("; ", at), text.size());
    const std::string clause = text.substr(at, end - at) + (end < text.size() ? ";" : "");
    at = end + 2;
    if (!line.empty() && line.size() + 1 + clause.size() <= width) {
      line += " " + clause;
      continue;
    }
    if (!line.empty()) lines.push_back(line);
    std::vector<std::string> parts = Wrap(clause, width);
    if (parts.empty()) continue;
    line = parts.back();
    lines.insert(lines.end(), parts.begin(), parts.end() - 1);
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

class Screen {
 public:
  // A label, then lines beside it; `lead` stands before the first one, the others are indented by
  // its width.
  void Lines(const std::string& label, const std::string& lead,
             const std::vector<std::string>& lines) {
    for (size_t i = 0; i < lines.size(); ++i) {
      lines_.push_back(fmt::format("{:<{}}{:<{}}{}", i ? "" : label, kLabel, i ? "" : lead,
                                   lead.size(), lines[i]));
    }
  }
  void Paragraph(const std::string& label, const std::string& text) {
    Lines(label, "", WrapClauses(Printable(text), kColumns - kLabel));
  }
  void Line(std::string line) { lines_.push_back(std::move(line)); }
  size_t size() const { return lines_.size(); }
  void Resize(size_t size) { lines_.resize(size); }
  std::string Text() const {
    std::string text;
    for (const std::string& line : lines_) text += line + "\n";
    return text;
  }

 private:
  std::vector<std::string> lines_;
};

std::pair<std::string, Colour> HealthWord(v1::Health health) {
  switch (health) {
    case v1::HEALTH_STARTING: return {"starting", Colour::kYellow};
    case v1::HEALTH_HEALTHY: return {"healthy", Colour::kGreen};
    case v1::HEALTH_DEGRADED: return {"degraded", Colour::kYellow};
    case v1::HEALTH_UNHEALTHY: return {"unhealthy", Colour::kRed};
    default: return {"unknown", Colour::kRed};
  }
}

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " ") + part;
  return text;
}

void AddHead(const v1::GetStatusResponse& status, Style style, std::time_t now, Screen& screen) {
  const v1::Datapath& datapath = status.datapath();
  std::string attach = datapath.tcx() ? "TCX" : "clsact";
  if (!datapath.xdp_mode().empty()) attach += ", XDP " + datapath.xdp_mode();
  const std::string kernel = fmt::format("kernel {} ({})", status.kernel(), attach);
  const auto [word, colour] = HealthWord(status.health());
  const double up = static_cast<double>(now - status.started().seconds());
  const std::string since = status.has_started() ? ", up " + Duration(up) : "";
  const size_t right = word.size() + since.size();
  std::string left = Printable(fmt::format("Bonsai {} on {}", status.version(), status.node()));
  const bool one_line = left.size() + 2 + kernel.size() + 2 + right <= kColumns;
  if (one_line) left += ", " + Printable(kernel);
  if (left.size() + 2 + right > kColumns) left.resize(kColumns - 2 - right);
  const std::string gap(kColumns - left.size() - right, ' ');
  screen.Line(left + gap + style.Paint(colour, word) + since);
  if (!one_line) screen.Paragraph("", kernel);
}

std::string ConfigurationText(const v1::Configuration& configuration, std::time_t now) {
  std::string text = "none in force yet";
  if (configuration.generation() != 0) {
    text = fmt::format("generation {} in force since {}, reload took {}", configuration.generation(),
                       Clock(configuration.in_force_since().seconds(), now),
                       Duration(configuration.reload_seconds()));
  }
  if (configuration.in_sync()) {
    text += configuration.generation() != 0 ? "; in sync" : "";
  } else {
    text += "; NOT in sync with " + configuration.source();
    if (configuration.has_drift_since()) {
      text += " since " + Clock(configuration.drift_since().seconds(), now);
    }
  }
  uint64_t refused = 0;
  std::string reasons;
  const std::map<std::string, uint64_t> sorted(configuration.rejections().begin(),
                                               configuration.rejections().end());
  for (const auto& [reason, count] : sorted) {
    if (count == 0) continue;
    refused += count;
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", reason, count);
  }
  if (refused) text += fmt::format("; {} refused since the start ({})", Count(refused), reasons);
  return text;
}

// As many names as fit on one line.
std::string OffFeatures(const v1::GetStatusResponse& status) {
  constexpr char kMore[] = " ... (agentctl features)";
  const size_t room = kColumns - kLabel - 5;
  const std::string all = Join(status.features_off());
  if (all.size() <= room) return all;
  std::string text;
  for (const std::string& name : status.features_off()) {
    if (text.size() + 1 + name.size() + sizeof(kMore) - 1 > room) break;
    text += (text.empty() ? "" : " ") + name;
  }
  return text + kMore;
}

void AddFeatures(const v1::GetStatusResponse& status, Screen& screen) {
  constexpr char kOn[] = "on:  ", kOff[] = "off: ", kDegraded[] = "degraded: ";
  const std::string on = status.features_on_size() ? Join(status.features_on()) : "none";
  screen.Lines("Features", kOn, Wrap(Printable(on), kColumns - kLabel - (sizeof(kOn) - 1)));
  if (status.features_off_size()) screen.Lines("", kOff, {Printable(OffFeatures(status))});
  if (status.features_degraded_size()) {
    screen.Lines("", kDegraded, Wrap(Printable(Join(status.features_degraded())),
                                     kColumns - kLabel - (sizeof(kDegraded) - 1)));
  }
}

std::string DatapathText(const v1::Datapath& datapath) {
  return fmt::format("{} of {} on {}; tail calls {} of {}; instructions {} of {}",
                     datapath.entry_programs_loaded(),
                     Plural(datapath.entry_programs_total(), "program"),
                     Plural(datapath.devices(), "device"), datapath.tail_calls_loaded(),
                     datapath.tail_calls_total(), Count(datapath.live_instructions()),
                     Count(datapath.total_instructions()));
}

std::string MemoryText(const v1::Memory& memory) {
  return fmt::format("{} of {} created, {}; {} saved by what is off",
                     memory.maps_created(), memory.maps_total(), Bytes(memory.loaded_bytes()),
                     Bytes(memory.saved_bytes()));
}

std::string StateText(const v1::GetStatusResponse& status, std::time_t now) {
  std::string text = fmt::format("{}, {}, {}", Plural(status.endpoints(), "endpoint"),
                                 Plural(status.services(), "service"),
                                 Plural(status.policies(), "policy"));
  if (status.desired_source().empty() || status.desired_source() == "none") return text;
  if (!status.has_desired_synced()) return text + "; " + status.desired_source() + " not read yet";
  const auto age = static_cast<double>(now - status.desired_synced().seconds());
  return text + fmt::format("; {} read {} ago", status.desired_source(), Duration(age));
}

std::string PressureText(const v1::GetStatusResponse& status) {
  std::string text;
  for (int i = 0; i < std::min<int>(status.pressure_size(), kMapsShown); ++i) {
    const v1::MapPressure& pressure = status.pressure(i);
    text += fmt::format("{} {}{}", pressure.map(), Percent(pressure.ratio()),
                        i + 1 < std::min<int>(status.pressure_size(), kMapsShown) ? ", " : "; ");
  }
  text += fmt::format("drops {:.1f}/s, forwards {:.1f}/s", status.traffic().dropped_per_second(),
                      status.traffic().forwarded_per_second());
  if (status.flow_events_lost()) {
    text += fmt::format("; {} lost", Plural(status.flow_events_lost(), "flow event"));
  }
  return text;
}

std::string LifeText(const v1::LifeState& life) {
  return DescribeLife(life) + fmt::format("; {:.3f} ms of CPU each",
                                          life.last_cpu_seconds() * 1e3);
}

// The two that change most; the others are in -o json.
void AddSizing(const v1::GetStatusResponse& status, Screen& screen) {
  std::vector<const v1::SizingAdvice*> advices;
  for (const v1::SizingAdvice& advice : status.sizing()) advices.push_back(&advice);
  std::stable_sort(advices.begin(), advices.end(), [](const auto* a, const auto* b) {
    return std::abs(a->bytes_change()) > std::abs(b->bytes_change());
  });
  if (advices.size() > kAdvicesShown) advices.resize(kAdvicesShown);
  bool first = true;
  for (const v1::SizingAdvice* advice : advices) {
    const bool saves = advice->bytes_change() < 0;
    const auto bytes = static_cast<uint64_t>(std::abs(advice->bytes_change()));
    screen.Paragraph(
        first ? "Sizing" : "",
        fmt::format("{} = {}, {} peaked at {}; {} would {} {}", advice->setting(), advice->size(),
                    advice->map(), Count(advice->peak_entries()), advice->suggested(),
                    saves ? "save" : "cost", Bytes(bytes)));
    first = false;
  }
}

// Of a change that failed: where, and the verifier's own words.
std::vector<std::string> FailureText(const v1::Problem& problem) {
  std::vector<std::string> lines;
  if (!problem.step().empty()) {
    lines.push_back(fmt::format("step: {}; object: {}", problem.step(), problem.object()));
  }
  for (const std::string& line : problem.verifier()) lines.push_back("verifier: " + line);
  return lines;
}

void AddProblems(const v1::GetStatusResponse& status, std::time_t now, Screen& screen) {
  for (int i = 0; i < status.problems_size(); ++i) {
    const v1::Problem& problem = status.problems(i);
    const size_t before = screen.size();
    const std::string text = fmt::format("{} (since {})", problem.message(),
                                         Clock(problem.since().seconds(), now));
    const std::string code = fmt::format("[{}] ", problem.code());
    auto lines = Wrap(Printable(code + text), kColumns - kLabel - 2);
    for (const std::string& line : FailureText(problem)) {
      for (std::string& part : Wrap(Printable(line), kColumns - kLabel - 2)) {
        lines.push_back(std::move(part));
      }
    }
    for (size_t line = 1; line < lines.size(); ++line) lines[line].insert(0, "  ");
    screen.Lines(i == 0 ? "Problems" : "", "", lines);
    const bool last = i + 1 == status.problems_size();
    if (screen.size() + (last ? 0 : 1) <= kLines) continue;
    // The first problem is shown in any case, however long.
    const int shown = i == 0 ? 1 : i;
    screen.Resize(i == 0 ? kLines - 1 : std::min(before, kLines - 1));
    const int hidden = status.problems_size() - shown;
    screen.Paragraph("", hidden ? fmt::format("... and {} more: agentctl status -o json", hidden)
                                : "... all of it: agentctl status -o json");
    return;
  }
}

}  // namespace

std::string Render(const v1::GetStatusResponse& status, Style style, std::time_t now) {
  Screen screen;
  AddHead(status, style, now, screen);
  screen.Paragraph("Configuration", ConfigurationText(status.configuration(), now));
  AddFeatures(status, screen);
  screen.Paragraph("Datapath", DatapathText(status.datapath()));
  screen.Paragraph("Maps", MemoryText(status.memory()));
  screen.Paragraph("State", StateText(status, now));
  screen.Paragraph("Pressure", PressureText(status));
  if (status.has_life()) screen.Paragraph("Life", LifeText(status.life()));
  AddSizing(status, screen);
  AddProblems(status, now, screen);
  return screen.Text();
}

}  // namespace bonsai::cli
