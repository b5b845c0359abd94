// SPDX-License-Identifier: Apache-2.0
#include "agent/report/explain_to_proto.h"

#include <cmath>
#include <map>

#include "agent/base/status.h"
#include "agent/report/to_proto.h"

namespace bonsai::report {
namespace {

using object::ObjectSpec;
using reachability::Deciding;
using reachability::Step;

v1::ExplainKind ToKind(plan::Subject subject) {
  switch (subject) {
    case plan::Subject::kMap: return v1::EXPLAIN_KIND_MAP;
    case plan::Subject::kProgram: return v1::EXPLAIN_KIND_PROGRAM;
    case plan::Subject::kFunction: return v1::EXPLAIN_KIND_FUNCTION;
    case plan::Subject::kSetting: return v1::EXPLAIN_KIND_SETTING;
  }
  return v1::EXPLAIN_KIND_UNSPECIFIED;
}

v1::ExplainDecidingKind ToKind(Deciding::Kind kind) {
  switch (kind) {
    case Deciding::Kind::kBranch: return v1::EXPLAIN_DECIDING_KIND_BRANCH;
    case Deciding::Kind::kTailCall: return v1::EXPLAIN_DECIDING_KIND_TAIL_CALL;
    case Deciding::Kind::kCall: return v1::EXPLAIN_DECIDING_KIND_CALL;
  }
  return v1::EXPLAIN_DECIDING_KIND_UNSPECIFIED;
}

v1::ExplainStepKind ToKind(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::kEntry: return v1::EXPLAIN_STEP_KIND_ENTRY;
    case Step::Kind::kTailCall: return v1::EXPLAIN_STEP_KIND_TAIL_CALL;
    case Step::Kind::kCall: return v1::EXPLAIN_STEP_KIND_CALL;
    case Step::Kind::kCallback: return v1::EXPLAIN_STEP_KIND_CALLBACK;
    case Step::Kind::kBranch: return v1::EXPLAIN_STEP_KIND_BRANCH;
    case Step::Kind::kReference: return v1::EXPLAIN_STEP_KIND_REFERENCE;
    case Step::Kind::kHeld: return v1::EXPLAIN_STEP_KIND_HELD;
  }
  return v1::EXPLAIN_STEP_KIND_UNSPECIFIED;
}

template <typename To>
void Copy(const std::set<std::string>& from, To* to) {
  for (const std::string& text : from) to->Add(std::string(text));
}
template <typename To>
void Copy(const std::vector<std::string>& from, To* to) {
  for (const std::string& text : from) to->Add(std::string(text));
}

class Converter {
 public:
  Converter(const plan::Inputs& inputs, double jit_bytes)
      : schema_(*inputs.schema), jit_bytes_(jit_bytes) {
    for (const auto& [key, spec] : schema_.specs()) {
      if (!spec.constant.empty()) keys_[spec.constant] = key;
    }
  }

  void Fill(const plan::ThingAnswer& answer, v1::ExplainThing& thing) const {
    thing.set_state(answer.exists ? v1::LOAD_STATE_LOADED : v1::LOAD_STATE_PRUNED);
    thing.set_reason(answer.reason);
    thing.set_feature(answer.feature);
    thing.set_sized_by(answer.sized_by);
    thing.set_max_entries(answer.max_entries);
    thing.set_bytes(answer.bytes);
    thing.set_full_bytes(answer.full_bytes);
    thing.set_instructions(answer.instructions);
    thing.set_live_instructions(answer.live_instructions);
    for (const plan::ObjectAnswer& object : answer.objects) Fill(object, *thing.add_objects());
    for (const plan::Effect& effect : answer.alone) Fill(effect, *thing.add_alone());
    if (answer.together) Fill(*answer.together, *thing.mutable_together());
  }

  void Fill(const plan::SettingAnswer& answer, const settings::Settings& settings,
            v1::ExplainSetting& row) const {
    *row.mutable_setting() = ToSetting(answer.spec, settings);
    Copy(answer.required_by, row.mutable_required_by());
    row.set_reload_class(plan::ToString(answer.reload_class));
    Copy(answer.sizes, row.mutable_sizes());
    for (const plan::SettingAnswer::Use& use : answer.uses) {
      v1::ExplainSettingUse& to = *row.add_uses();
      to.set_object(use.object->name);
      Fill({.name = answer.spec.constant, .value = use.value}, *to.mutable_constant());
      for (const reachability::Place& place : use.reads) Fill(*use.object, place, *to.add_reads());
      for (const Deciding& branch : use.branches) Fill(*use.object, branch, *to.add_branches());
    }
    for (const plan::Effect& effect : answer.effects) Fill(effect, *row.add_effects());
  }

 private:
  void Fill(const plan::ObjectAnswer& answer, v1::ExplainObject& row) const {
    row.set_object(answer.object->name);
    row.set_used(answer.used);
    row.set_inert(answer.inert);
    row.set_complete(!answer.used && !answer.inert && answer.why.complete);
    for (const Deciding& deciding : answer.why.deciding) {
      Fill(*answer.object, deciding, *row.add_deciding());
    }
    for (const Step& step : answer.why.witness) Fill(*answer.object, step, *row.add_witness());
  }

  void Fill(const reachability::ConstantValue& constant, v1::ExplainConstant& row) const {
    row.set_name(constant.name);
    row.set_value(constant.value);
    if (const auto key = keys_.find(constant.name); key != keys_.end()) row.set_setting(key->second);
  }

  static void Fill(const ObjectSpec& object, const reachability::Place& place,
                   v1::ExplainPlace& row) {
    row.set_function(object.functions[place.function].name);
    row.set_slot(place.slot);
    row.set_file(place.file);
    row.set_line(place.line);
    row.set_text(place.text);
  }

  void Fill(const ObjectSpec& object, const Deciding& deciding, v1::ExplainDeciding& row) const {
    row.set_kind(ToKind(deciding.kind));
    row.set_taken(deciding.taken);
    row.set_direct(deciding.direct);
    for (const auto& constant : deciding.constants) Fill(constant, *row.add_constants());
    Fill(object, deciding.place, *row.mutable_place());
  }

  void Fill(const ObjectSpec& object, const Step& step, v1::ExplainStep& row) const {
    row.set_kind(ToKind(step.kind));
    row.set_program(object.programs[step.program].name);
    row.set_name(step.name);
    row.set_taken(step.taken);
    row.set_needed(step.needed);
    for (const auto& constant : step.constants) Fill(constant, *row.add_constants());
    Fill(object, step.place, *row.mutable_place());
    if (step.kind != Step::Kind::kTailCall) return;
    row.set_tail_map(step.tail.map);
    row.set_tail_slot(step.tail.slot);
  }

  void Fill(const plan::Effect& effect, v1::ExplainEffect& row) const {
    for (const plan::KeyChange& change : effect.changes) {
      v1::ExplainChange& to = *row.add_changes();
      to.set_setting(change.key);
      to.set_from(change.from);
      to.set_to(change.to);
    }
    Copy(effect.come.maps, row.mutable_maps_come());
    Copy(effect.gone.maps, row.mutable_maps_go());
    Copy(effect.come.programs, row.mutable_programs_come());
    Copy(effect.gone.programs, row.mutable_programs_go());
    Copy(effect.come.functions, row.mutable_functions_come());
    Copy(effect.gone.functions, row.mutable_functions_go());
    row.set_map_bytes(effect.map_bytes);
    row.set_program_bytes(std::llround(jit_bytes_ * static_cast<double>(effect.instructions)));
    row.set_instructions(effect.instructions);
  }

  const settings::Schema& schema_;
  const double jit_bytes_;
  std::map<std::string, std::string> keys_;  // by constant
};

}  // namespace

absl::StatusOr<plan::Subject> ToSubject(v1::ExplainKind kind) {
  switch (kind) {
    case v1::EXPLAIN_KIND_MAP: return plan::Subject::kMap;
    case v1::EXPLAIN_KIND_PROGRAM: return plan::Subject::kProgram;
    case v1::EXPLAIN_KIND_FUNCTION: return plan::Subject::kFunction;
    case v1::EXPLAIN_KIND_SETTING: return plan::Subject::kSetting;
    default: break;
  }
  return base::InvalidArgument(
      "explaining: the kind {} is none of map, program, function and setting",
      static_cast<int>(kind));
}

v1::ExplainResponse ToExplain(const plan::Answer& answer, const plan::Inputs& inputs,
                              const settings::Settings& settings, double jit_bytes) {
  const Converter converter(inputs, jit_bytes);
  v1::ExplainResponse response;
  response.set_kind(ToKind(answer.subject));
  response.set_name(answer.name);
  if (answer.setting) converter.Fill(*answer.setting, settings, *response.mutable_setting());
  if (!answer.thing) return response;
  v1::ExplainThing& thing = *response.mutable_thing();
  converter.Fill(*answer.thing, thing);
  if (answer.subject == plan::Subject::kProgram) {
    const uint32_t slots =
        answer.thing->exists ? thing.live_instructions() : thing.instructions();
    thing.set_bytes(static_cast<uint64_t>(std::llround(jit_bytes * slots)));
  }
  return response;
}

absl::StatusOr<v1::ExplainResponse> Explain(const v1::ExplainRequest& request,
                                            const plan::Inputs& inputs,
                                            const settings::Settings& settings,
                                            const plan::Cancelled& cancelled, double jit_bytes) {
  ASSIGN_OR_RETURN(const plan::Subject subject, ToSubject(request.kind()));
  if (request.name().empty()) {
    v1::ExplainResponse response;
    response.set_kind(request.kind());
    Copy(plan::NamesOf(inputs, subject), response.mutable_names());
    return response;
  }
  ASSIGN_OR_RETURN(const plan::Answer answer,
                   plan::Explain(inputs, settings, subject, request.name(), cancelled));
  return ToExplain(answer, inputs, settings, jit_bytes);
}

}  // namespace bonsai::report
