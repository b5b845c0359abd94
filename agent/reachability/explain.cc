// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/explain.h"

#include <algorithm>
#include <optional>

#include "agent/reachability/explain_cuts.h"
#include "agent/reachability/explain_graph.h"
#include "agent/reachability/explain_words.h"
#include "agent/reachability/witness.h"

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;

DecidedBranch InWords(const ObjectSpec& object, const Decision& decision) {
  Place place = PlaceAt(object, decision.function, decision.slot);
  DecidedBranch branch{.function = decision.function, .slot = decision.slot,
                       .taken = decision.taken, .file = std::move(place.file),
                       .line = place.line, .text = std::move(place.text)};
  for (const uint32_t constant : decision.constants) {
    branch.constants.push_back(object.constants[constant].name);
  }
  return branch;
}

}  // namespace

struct Explainer::Parts {
  explicit Parts(const Subject& given)
      : subject(given),
        graph(given.object),
        values(ValuesOf(given.object, given.constants)),
        cuts(graph, given.liveness) {}

  Deciding Decide(uint32_t number, bool direct) const;
  void AddDeciding(const NearCuts& near, Explanation& explanation) const;
  bool IsReferred(Thing thing) const;
  const Witnesses& witnesses() {
    if (!found) found.emplace(subject, graph, values);
    return *found;
  }

  const Subject subject;
  const CodeGraph graph;
  const std::vector<std::string> values;
  const Cuts cuts;
  std::optional<Witnesses> found;  // made when first asked for
};

Deciding Explainer::Parts::Decide(uint32_t number, bool direct) const {
  const Cut& cut = cuts.cut(number);
  Deciding deciding{.kind = cut.kind,
                    .place = PlaceAt(subject.object, graph.FunctionOf(cut.node), cut.slot),
                    .taken = cut.taken,
                    .direct = direct};
  if (cut.constants == nullptr) return deciding;
  for (const uint32_t constant : *cut.constants) {
    deciding.constants.push_back(
        {constant, subject.object.constants[constant].name, values[constant]});
  }
  return deciding;
}

void Explainer::Parts::AddDeciding(const NearCuts& near, Explanation& explanation) const {
  explanation.complete = near.complete;
  std::vector<uint32_t> known;
  for (const NearCut& cut : near.cuts) {
    known.push_back(cut.cut);
    explanation.deciding.push_back(Decide(cut.cut, true));
  }
  size_t others = 0;
  for (const NearCut& cut : near.cuts) {
    if (cuts.cut(cut.cut).HasConstants()) continue;
    for (const uint32_t behind : cuts.Behind(cut.cut)) {
      if (std::find(known.begin(), known.end(), behind) != known.end()) continue;
      if (++others > kMaxDeciding) return;
      known.push_back(behind);
      explanation.deciding.push_back(Decide(behind, false));
    }
  }
}

bool Explainer::Parts::IsReferred(Thing thing) const {
  switch (thing.kind) {
    case ThingKind::kMap:
      return !graph.Users(thing.index).empty() || !graph.Holders(thing.index).empty();
    case ThingKind::kProgram:
      return graph.IsReferred(thing.index);
    case ThingKind::kFunction:
      break;
  }
  if (!graph.Callers(thing.index).empty()) return true;
  for (uint32_t i = 0; i < subject.object.programs.size(); ++i) {
    if (subject.object.programs[i].function == thing.index && graph.IsReferred(i)) return true;
  }
  return false;
}

Explainer::Explainer(const Subject& subject) : parts_(std::make_unique<Parts>(subject)) {}
Explainer::~Explainer() = default;

Explanation Explainer::Of(Thing thing) const {
  Explanation explanation{.thing = thing,
                          .live = IsLive(parts_->subject.liveness, thing),
                          .referred = parts_->IsReferred(thing)};
  if (explanation.live) {
    explanation.witness = parts_->witnesses().To(thing);
  } else {
    parts_->AddDeciding(parts_->cuts.Before(thing), explanation);
  }
  return explanation;
}

std::string Explainer::WhyDead(Thing thing) const {
  if (IsLive(parts_->subject.liveness, thing)) return "";
  const NearCuts near = parts_->cuts.Before(thing);
  // Only one line is wanted, and source lines are what takes time.
  for (const NearCut& cut : near.cuts) {
    if (!parts_->cuts.cut(cut.cut).HasConstants()) continue;
    return reachability::InWords(parts_->subject.object, parts_->Decide(cut.cut, true));
  }
  Explanation explanation;
  parts_->AddDeciding(near, explanation);
  return Reason(parts_->subject.object, explanation);
}

const std::string& NameOf(const ObjectSpec& object, Thing thing) {
  switch (thing.kind) {
    case ThingKind::kMap: return object.maps[thing.index].name;
    case ThingKind::kProgram: return object.programs[thing.index].name;
    default: return object.functions[thing.index].name;
  }
}

bool IsLive(const Liveness& liveness, Thing thing) {
  switch (thing.kind) {
    case ThingKind::kMap: return liveness.maps[thing.index];
    case ThingKind::kProgram: return liveness.programs[thing.index].live;
    default: return liveness.functions[thing.index].live;
  }
}

Explanation ExplainMap(const Subject& subject, uint32_t map) {
  return Explainer(subject).Of({ThingKind::kMap, map});
}
Explanation ExplainProgram(const Subject& subject, uint32_t program) {
  return Explainer(subject).Of({ThingKind::kProgram, program});
}
Explanation ExplainFunction(const Subject& subject, uint32_t function) {
  return Explainer(subject).Of({ThingKind::kFunction, function});
}

void Explain(const ObjectSpec& object, const constants::ConstantSet& constants,
             Liveness& liveness) {
  liveness.branches.clear();
  for (const Decision& decision : liveness.decisions) {
    liveness.branches.push_back(InWords(object, decision));
  }
  const Explainer explainer({object, constants, liveness});
  const auto fill = [&](ThingKind kind, size_t count, std::vector<std::string>& reasons) {
    reasons.clear();
    for (uint32_t i = 0; i < count; ++i) reasons.push_back(explainer.WhyDead({kind, i}));
  };
  fill(ThingKind::kMap, object.maps.size(), liveness.map_reasons);
  fill(ThingKind::kProgram, object.programs.size(), liveness.program_reasons);
  fill(ThingKind::kFunction, object.functions.size(), liveness.function_reasons);
}

}  // namespace bonsai::reachability
