// SPDX-License-Identifier: Apache-2.0
// Metrics of the layer 7 features; of one that is off there are none.
#pragma once

#include "agent/report/exposition.h"
#include "agent/report/snapshot.h"

namespace bonsai::report {

void AddL7(const Snapshot& snapshot, Exposition& out);

}  // namespace bonsai::report
