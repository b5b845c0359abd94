// SPDX-License-Identifier: Apache-2.0
// What hangs on a setting; internal to plan/.
#pragma once

#include <absl/status/statusor.h>

#include "agent/plan/explain.h"

namespace bonsai::plan {

absl::StatusOr<SettingAnswer> ExplainSetting(Trials& trials, const Inputs& inputs,
                                             const settings::SettingSpec& spec);

}  // namespace bonsai::plan
