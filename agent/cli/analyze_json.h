// SPDX-License-Identifier: Apache-2.0
// An analysis as a document for other programs; its keys are a contract. Slots are 8 bytes of a
// function as it stands in the ELF, ranges of them have both ends included. Pure.
#pragma once

#include <string>

#include "agent/cli/analyze_facts.h"
#include "agent/cli/analyze_why.h"

namespace bonsai::cli {

// One line for each constant, program, map and function. Keys "why" and "what_if" (see
// analyze_why_json.h) are there only when they were asked for.
std::string AnalysisJson(const Analysis& analysis, const Facts& facts,
                         const Answers& answers = {});

}  // namespace bonsai::cli
