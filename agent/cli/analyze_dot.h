// SPDX-License-Identifier: Apache-2.0
// An analysis as a graph for graphviz. Pure.
#pragma once

#include <string>

#include "agent/cli/analyze_facts.h"

namespace bonsai::cli {

// Programs, functions and maps; calls, callbacks, tail calls and uses of maps. What is dead is grey
// and dashed.
std::string AnalysisDot(const Analysis& analysis, const Facts& facts);

}  // namespace bonsai::cli
