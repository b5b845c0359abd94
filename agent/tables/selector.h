// SPDX-License-Identifier: Apache-2.0
// Label selectors with the meaning Kubernetes gives them. Pure; thread-safe.
#pragma once

#include <string>

#include "agent/tables/desired_state.h"

namespace bonsai::tables {

// All requirements hold. NotIn and DoesNotExist hold for a label that is absent.
bool Matches(const LabelSelector& selector, const Labels& labels);

// "app=web, tier in (a,b), !legacy"; "all" for the empty selector.
std::string ToString(const LabelSelector& selector);

}  // namespace bonsai::tables
