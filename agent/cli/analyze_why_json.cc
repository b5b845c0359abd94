// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_why_json.h"

#include <nlohmann/json.hpp>

namespace bonsai::cli {
namespace {

using nlohmann::ordered_json;
using object::ObjectSpec;
using reachability::Change;
using reachability::ConstantValue;
using reachability::Deciding;
using reachability::Place;
using reachability::Step;
using reachability::Thing;
using reachability::ThingKind;

// Names and sources are whatever an ELF holds: bytes that are no UTF-8 are replaced.
std::string Line(const ordered_json& tree) {
  return tree.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void AddPlace(const ObjectSpec& object, const Place& place, ordered_json& row) {
  row["function"] = object.functions[place.function].name;
  row["slot"] = place.slot;
  row["file"] = place.file;
  row["line"] = place.line;
  row["text"] = place.text;
}

ordered_json Constants(const std::vector<ConstantValue>& constants) {
  ordered_json rows = ordered_json::array();
  for (const ConstantValue& constant : constants) {
    rows.push_back({{"name", constant.name}, {"value", constant.value}});
  }
  return rows;
}

ordered_json Row(const ObjectSpec& object, const Deciding& deciding) {
  ordered_json row = {{"kind", KindName(deciding.kind)},
                      {"constants", Constants(deciding.constants)},
                      {"taken", deciding.taken},
                      {"direct", deciding.direct}};
  AddPlace(object, deciding.place, row);
  return row;
}

ordered_json Row(const ObjectSpec& object, const Step& step) {
  ordered_json row = {{"kind", KindName(step.kind)},
                      {"program", object.programs[step.program].name},
                      {"name", step.name},
                      {"constants", Constants(step.constants)},
                      {"taken", step.taken},
                      {"needed", step.needed},
                      {"tail", nullptr}};
  if (step.kind == Step::Kind::kTailCall) {
    row["tail"] = {{"map", step.tail.map}, {"slot", step.tail.slot}};
  }
  AddPlace(object, step.place, row);
  return row;
}

ordered_json Row(const ObjectSpec&, const Change& change) {
  return {{"name", change.name}, {"from", change.from}, {"to", change.to}};
}

template <typename T>
ordered_json Rows(const ObjectSpec& object, const std::vector<T>& items) {
  ordered_json rows = ordered_json::array();
  for (const T& item : items) rows.push_back(Row(object, item));
  return rows;
}

ordered_json Things(const ObjectSpec& object, const std::vector<Thing>& things) {
  ordered_json tree;
  for (const ThingKind kind : {ThingKind::kMap, ThingKind::kProgram, ThingKind::kFunction}) {
    ordered_json names = ordered_json::array();
    for (const Thing thing : things) {
      if (thing.kind == kind) names.push_back(NameOf(object, thing));
    }
    tree[std::string(KindName(kind)) + "s"] = std::move(names);
  }
  return tree;
}

ordered_json ConstantNames(const ObjectSpec& object, const std::vector<uint32_t>& constants) {
  ordered_json names = ordered_json::array();
  for (const uint32_t constant : constants) names.push_back(object.constants[constant].name);
  return names;
}

}  // namespace

std::string AnswerJson(const Analysis& analysis, const Answer& answer) {
  const ObjectSpec& object = analysis.object;
  const reachability::Explanation& why = answer.explanation;
  const std::vector<Change> none;
  return Line({{"kind", KindName(why.thing.kind)},
               {"name", NameOf(object, why.thing)},
               {"live", why.live},
               {"referred", why.referred},
               {"deciding", Rows(object, why.deciding)},
               {"complete", why.complete},
               {"witness", Rows(object, why.witness)},
               {"bring", Rows(object, why.live ? none : answer.alone)},
               {"bring_together", Rows(object, answer.together)},
               {"cut", Rows(object, why.live ? answer.alone : none)}});
}

std::string WhatIfJson(const Analysis& analysis, const reachability::WhatIf& what_if,
                       double seconds) {
  const ObjectSpec& object = analysis.object;
  ordered_json changes = ordered_json::array();
  for (const reachability::Outcomes& outcomes : what_if.changes) {
    ordered_json row = Row(object, outcomes.change);
    row["gone"] = Things(object, outcomes.gone);
    row["come"] = Things(object, outcomes.come);
    changes.push_back(std::move(row));
  }
  return Line({{"seconds", seconds},
               {"analyses", what_if.analyses},
               {"changes", std::move(changes)},
               {"unread", ConstantNames(object, what_if.unread)},
               {"not_numbers", ConstantNames(object, what_if.no_numbers)}});
}

}  // namespace bonsai::cli
