// SPDX-License-Identifier: Apache-2.0
// What a user asked about an analysis: why single things are dead or alive, and what changed
// settings would do.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/analyze.h"
#include "agent/reachability/explain.h"
#include "agent/reachability/what_if.h"

namespace bonsai::cli {

struct Answer {
  reachability::Explanation explanation;
  // Each alone brings what is dead, or cuts what is alive.
  std::vector<reachability::Change> alone;
  // Brings what is dead and no change alone does; empty when none was found.
  std::vector<reachability::Change> together;
};

struct Answers {
  std::vector<Answer> why;                      // as asked; one for each thing of that name
  std::optional<reachability::WhatIf> what_if;  // when asked
  double what_if_seconds = 0;

  bool empty() const { return why.empty() && !what_if; }
};

// Analyses anew for each change tried. InvalidArgument for a thing that the object does not have.
absl::StatusOr<Answers> AnswersTo(const AnalyzeOptions& options, const Analysis& analysis);

const char* KindName(reachability::ThingKind kind);     // "map", as --why takes it
const char* KindName(reachability::Deciding::Kind kind);
const char* KindName(reachability::Step::Kind kind);

}  // namespace bonsai::cli
