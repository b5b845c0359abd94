// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_json.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "agent/cli/analyze_why_json.h"
#include "agent/constants/constant_set.h"

namespace bonsai::cli {
namespace {

using reachability::SlotRanges;

// Names are whatever an ELF holds: bytes that are no UTF-8 are replaced.
std::string Quote(const std::string& text) {
  using nlohmann::json;
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

template <typename T>
std::vector<std::string> QuotedNames(const std::vector<T>& items) {
  std::vector<std::string> names;
  for (const T& item : items) names.push_back(Quote(item.name));
  return names;
}

std::string ValueOf(const object::Constant& constant, const std::vector<uint8_t>& section) {
  const auto first = section.begin() + constant.offset;
  if (!constant.is_integer) {
    return fmt::format("\"hex:{:02x}\"", fmt::join(first, first + constant.size, ""));
  }
  uint64_t bits = 0;
  for (uint32_t i = 0; i < constant.size; ++i) bits |= uint64_t{first[i]} << (i * 8);
  if (constant.is_bool) return bits != 0 ? "true" : "false";
  if (!constant.is_signed) return fmt::format("{}", bits);
  const uint32_t shift = 64 - constant.size * 8;
  return fmt::format("{}", static_cast<int64_t>(bits << shift) >> shift);
}

// Straight to text: a tree of 100 programs, each with all its functions, costs more than the
// analysis itself.
class Writer {
 public:
  Writer(const Analysis& analysis, const Facts& facts)
      : analysis_(analysis), facts_(facts), functions_(QuotedNames(analysis.object.functions)),
        maps_(QuotedNames(analysis.object.maps)) {}

  std::string Text(const Answers& answers) {
    const object::ObjectSpec& object = analysis_.object;
    Put("{{\n\"object\": {},\n", Quote(analysis_.path));
    Put("\"live_instructions\": {},\n\"total_instructions\": {},\n", analysis_.liveness.live_insns,
        analysis_.liveness.total_insns);
    Rows("constants", object.constants.size(), [&](size_t i) { Constant(object.constants[i]); });
    Rows("programs", object.programs.size(), [&](size_t i) { Program(i); });
    Rows("maps", object.maps.size(), [&](size_t i) { Map(i); });
    Rows("functions", object.functions.size(), [&](size_t i) {
      Put("{{\"name\":{},\"live\":{}}}", functions_[i], analysis_.liveness.functions[i].live);
    });
    if (!answers.why.empty()) {
      Rows("why", answers.why.size(),
           [&](size_t i) { text_ += AnswerJson(analysis_, answers.why[i]); });
    }
    if (answers.what_if) {
      Put("\"what_if\": {},\n",
          WhatIfJson(analysis_, *answers.what_if, answers.what_if_seconds));
    }
    Put("\"seconds\": {{\"read\":{:.9f},\"analyse\":{:.9f}}}\n}}\n", analysis_.read_seconds,
        analysis_.analyse_seconds);
    return std::move(text_);
  }

 private:
  template <typename... Args>
  void Put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }

  template <typename Items, typename Write>
  void List(const Items& items, const Write& write) {
    text_ += '[';
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) text_ += ',';
      write(item);
    }
    text_ += ']';
  }

  // An array of the document itself, one line an element.
  template <typename Write>
  void Rows(const char* key, size_t count, const Write& write) {
    Put("\"{}\": [", key);
    for (size_t i = 0; i < count; ++i) {
      text_ += i == 0 ? "\n " : ",\n ";
      write(i);
    }
    text_ += "],\n";
  }

  void Constant(const object::Constant& constant) {
    Put("{{\"name\":{},\"value\":{}}}", Quote(constant.name),
        ValueOf(constant, analysis_.constants.sections.at(constant.section)));
  }

  void Program(size_t index) {
    const object::Program& program = analysis_.object.programs[index];
    const reachability::ProgramLiveness& liveness = analysis_.liveness.programs[index];
    const ProgramFacts& facts = facts_.programs[index];
    Put("{{\"name\":{},\"section\":{},\"kind\":\"{}\",\"live\":{},\"reason\":{},\"slots\":{},"
        "\"live_slots\":{},\"functions\":",
        Quote(program.name), Quote(program.section), analysis_.entries[index] ? "entry" : "tail",
        liveness.live, Quote(facts_.program_reasons[index]), facts.slots, facts.live_slots);
    List(facts.functions, [&](uint32_t function) { Function(function, liveness); });
    text_ += ",\"maps\":{\"live\":";
    List(facts.live_maps, [&](uint32_t map) { text_ += maps_[map]; });
    text_ += ",\"dead\":";
    List(facts.dead_maps, [&](uint32_t map) { text_ += maps_[map]; });
    text_ += "},\"tail_calls\":";
    List(facts.tail_calls, [&](const TailCall& call) {
      Put("{{\"map\":{},\"slot\":{},\"live\":{}}}", Quote(call.slot.map), call.slot.slot,
          call.live);
    });
    text_ += '}';
  }

  void Function(uint32_t index, const reachability::ProgramLiveness& liveness) {
    static const SlotRanges kNothing;
    const auto code = liveness.code.find(index);
    Put("{{\"name\":{},\"slots\":{},\"live\":", functions_[index],
        analysis_.object.functions[index].insns.size());
    List(code == liveness.code.end() ? kNothing : code->second,
         [&](const auto& range) { Put("[{},{}]", range.first, range.second); });
    text_ += '}';
  }

  void Map(size_t index) {
    Put("{{\"name\":{},\"live\":{},\"reason\":{},\"feature\":{}}}", maps_[index],
        bool{analysis_.liveness.maps[index]}, Quote(facts_.map_reasons[index]),
        Quote(analysis_.object.maps[index].feature));
  }

  const Analysis& analysis_;
  const Facts& facts_;
  const std::vector<std::string> functions_, maps_;  // quoted names
  std::string text_;
};

}  // namespace

std::string AnalysisJson(const Analysis& analysis, const Facts& facts, const Answers& answers) {
  return Writer(analysis, facts).Text(answers);
}

}  // namespace bonsai::cli
