// SPDX-License-Identifier: Apache-2.0
// Answers for people. Pure.
#pragma once

#include <string>

#include "agent/cli/analyze_why.h"
#include "agent/cli/table.h"

namespace bonsai::cli {

std::string AnswersTable(const Analysis& analysis, const Answers& answers, Style style);

}  // namespace bonsai::cli
