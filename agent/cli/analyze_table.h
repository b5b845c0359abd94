// SPDX-License-Identifier: Apache-2.0
// An analysis for people. Pure.
#pragma once

#include <string>

#include "agent/cli/analyze_facts.h"
#include "agent/cli/table.h"

namespace bonsai::cli {

// Totals, then programs, maps and functions; what is dead with the reason.
std::string AnalysisTable(const Analysis& analysis, const Facts& facts, Style style);

}  // namespace bonsai::cli
