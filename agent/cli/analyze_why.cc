// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_why.h"

#include <chrono>

#include "agent/base/status.h"

namespace bonsai::cli {
namespace {

using reachability::Deciding;
using reachability::Explainer;
using reachability::Step;
using reachability::Thing;
using reachability::ThingKind;
using reachability::WhatIf;

using Clock = std::chrono::steady_clock;

absl::StatusOr<Answer> AnswerFor(const AnalyzeOptions& options, const Analysis& analysis,
                                 const Explainer& explainer, const WhatIf& what_if, Thing thing) {
  Answer answer{.explanation = explainer.Of(thing)};
  if (answer.explanation.live) {
    answer.alone = reachability::Cutting(what_if, thing);
    return answer;
  }
  answer.alone = reachability::Bringing(what_if, thing);
  // No value of a constant makes code refer to what it does not name.
  if (!answer.alone.empty() || !answer.explanation.referred) return answer;
  ASSIGN_OR_RETURN(reachability::Combination combination,
                   reachability::Bring(analysis.object, analysis.constants, thing,
                                       options.entries));
  if (combination.found) answer.together = std::move(combination.changes);
  return answer;
}

absl::StatusOr<Answers> Collect(const AnalyzeOptions& options, const Analysis& analysis) {
  Answers answers;
  ASSIGN_OR_RETURN(const std::vector<Thing> things, ThingsAsked(options.whys, analysis.object));
  if (things.empty() && !options.what_if) return answers;
  const Clock::time_point start = Clock::now();
  ASSIGN_OR_RETURN(WhatIf what_if, reachability::Alternatives(analysis.object, analysis.constants,
                                                              options.entries));
  answers.what_if_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (!things.empty()) {
    const Explainer explainer(
        {analysis.object, analysis.constants, analysis.liveness, options.entries});
    for (const Thing thing : things) {
      ASSIGN_OR_RETURN(Answer answer, AnswerFor(options, analysis, explainer, what_if, thing));
      answers.why.push_back(std::move(answer));
    }
  }
  if (options.what_if) answers.what_if = std::move(what_if);
  return answers;
}

}  // namespace

absl::StatusOr<Answers> AnswersTo(const AnalyzeOptions& options, const Analysis& analysis) {
  absl::StatusOr<Answers> answers = Collect(options, analysis);
  RETURN_IF_ERROR(base::Annotate(answers.status(), options.object));
  return answers;
}

const char* KindName(ThingKind kind) {
  switch (kind) {
    case ThingKind::kMap: return "map";
    case ThingKind::kProgram: return "program";
    case ThingKind::kFunction: return "function";
  }
  return "";
}

const char* KindName(Deciding::Kind kind) {
  switch (kind) {
    case Deciding::Kind::kBranch: return "branch";
    case Deciding::Kind::kTailCall: return "tail_call";
    case Deciding::Kind::kCall: return "call";
  }
  return "";
}

const char* KindName(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::kEntry: return "entry";
    case Step::Kind::kTailCall: return "tail_call";
    case Step::Kind::kCall: return "call";
    case Step::Kind::kCallback: return "callback";
    case Step::Kind::kBranch: return "branch";
    case Step::Kind::kReference: return "reference";
    case Step::Kind::kHeld: return "held";
  }
  return "";
}

}  // namespace bonsai::cli
