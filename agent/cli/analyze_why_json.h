// SPDX-License-Identifier: Apache-2.0
// Answers as documents of one line; their keys are a contract, and all are always there. Pure.
#pragma once

#include <string>

#include "agent/cli/analyze_why.h"

namespace bonsai::cli {

// {"kind","name","live","referred","deciding":[{"kind","constants":[{"name","value"}],"taken",
// "direct",PLACE}],"complete","witness":[{"kind","program","name","constants","taken","needed",
// "tail":null|{"map","slot"},PLACE}],"bring":[CHANGE],"bring_together":[CHANGE],"cut":[CHANGE]};
// PLACE is "function","slot","file","line","text", CHANGE {"name","from","to"} with values as texts
// that --set takes. Each CHANGE alone does it, those of "bring_together" only together.
std::string AnswerJson(const Analysis& analysis, const Answer& answer);

// {"seconds","analyses","changes":[{"name","from","to","gone":THINGS,"come":THINGS}],
// "unread":[NAME],"not_numbers":[NAME]}; THINGS is {"maps":[NAME],"programs":[NAME],
// "functions":[NAME]}. Constants of the last two lists are not tried.
std::string WhatIfJson(const Analysis& analysis, const reachability::WhatIf& what_if,
                       double seconds);

}  // namespace bonsai::cli
