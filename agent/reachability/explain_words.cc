// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/explain_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;

constexpr uint32_t kMaxHexBytes = 16;

std::string Hex(const std::vector<uint8_t>& bytes, const object::Constant& constant) {
  if (constant.size > kMaxHexBytes || constant.offset > bytes.size() ||
      bytes.size() - constant.offset < constant.size) {
    return "";
  }
  std::string hex = "hex:";
  for (uint32_t i = 0; i < constant.size; ++i) {
    hex += fmt::format("{:02x}", bytes[constant.offset + i]);
  }
  return hex;
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  const size_t end = text.find_last_not_of(" \t\r\n{");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  return text.substr(begin, end - begin + 1);
}

// "file.c:12 `text`", or "function+slot" without line info.
std::string Where(const ObjectSpec& object, const Place& place) {
  const std::string_view file = std::string_view(place.file).substr(place.file.rfind('/') + 1);
  const std::string at =
      file.empty() ? fmt::format("{}+{}", object.functions[place.function].name, place.slot)
                   : fmt::format("{}:{}", file, place.line);
  const std::string_view text = Trim(place.text);
  return text.empty() ? at : fmt::format("{} `{}`", at, text);
}

std::string Names(const std::vector<ConstantValue>& constants) {
  std::string what;
  for (const ConstantValue& constant : constants) {
    what += what.empty() ? "" : ", ";
    what += constant.value.empty() ? constant.name : constant.name + " = " + constant.value;
  }
  return what;
}

}  // namespace

Place PlaceAt(const ObjectSpec& object, uint32_t function, uint32_t slot) {
  Place place{.function = function, .slot = slot};
  const auto line = object.functions[function].lines.LineOf(slot);
  if (!line) return place;
  place.file = object.String(line->file);
  place.line = line->line;
  place.text = object.String(line->text);
  return place;
}

std::vector<std::string> ValuesOf(const ObjectSpec& object,
                                  const constants::ConstantSet& constants) {
  std::unordered_map<std::string_view, const std::string*> named;
  for (const constants::NamedValue& value : constants.values) named[value.name] = &value.value;
  std::vector<std::string> values;
  values.reserve(object.constants.size());
  for (const object::Constant& constant : object.constants) {
    const auto found = named.find(constant.name);
    const auto section = constants.sections.find(constant.section);
    values.push_back(found != named.end()                    ? *found->second
                     : section != constants.sections.end() ? Hex(section->second, constant)
                                                             : "");
  }
  return values;
}

std::string InWords(const ObjectSpec& object, const Deciding& deciding) {
  const std::string names = Names(deciding.constants);
  return fmt::format("{} at {}", names.empty() ? "never so" : names,
                     Where(object, deciding.place));
}

std::string InWords(const ObjectSpec& object, const Step& step) {
  const std::string where = Where(object, step.place);
  switch (step.kind) {
    case Step::Kind::kEntry:
      return step.name;
    case Step::Kind::kTailCall:
      return fmt::format("tail call {}/{} to {} at {}", step.tail.map, step.tail.slot, step.name,
                         where);
    case Step::Kind::kCall:
      return fmt::format("call of {} at {}", step.name, where);
    case Step::Kind::kCallback:
      return fmt::format("callback {} at {}", step.name, where);
    case Step::Kind::kBranch:
      return fmt::format("{} at {}", Names(step.constants), where);
    case Step::Kind::kReference:
      return fmt::format("{} at {}", step.name, where);
    case Step::Kind::kHeld:
      return fmt::format("which holds {}", step.name);
  }
  return "";
}

std::string Reason(const ObjectSpec& object, const Explanation& explanation) {
  for (const Deciding& deciding : explanation.deciding) {
    if (!deciding.constants.empty()) return InWords(object, deciding);
  }
  return explanation.deciding.empty() ? "" : InWords(object, explanation.deciding.front());
}

std::string WhyLive(const ObjectSpec& object, const Explanation& explanation, size_t max_steps) {
  const size_t all = explanation.witness.size();
  max_steps = std::max<size_t>(max_steps, 2);
  std::vector<const Step*> steps;
  for (const Step& step : explanation.witness) {
    if (step.kind == Step::Kind::kBranch && !step.needed && all > max_steps) continue;
    steps.push_back(&step);
  }
  if (steps.size() > max_steps) {
    const auto begin = steps.begin() + static_cast<std::ptrdiff_t>((max_steps + 1) / 2);
    steps.erase(begin, begin + static_cast<std::ptrdiff_t>(steps.size() - max_steps));
  }
  std::string line;
  for (const Step* step : steps) line += (line.empty() ? "" : ", ") + InWords(object, *step);
  return steps.size() == all ? line : fmt::format("{} ({} more)", line, all - steps.size());
}

}  // namespace bonsai::reachability
