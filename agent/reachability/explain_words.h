// SPDX-License-Identifier: Apache-2.0
// Places and values of constants in words; internal to reachability/.
#pragma once

#include <string>
#include <vector>

#include "agent/reachability/explain.h"

namespace bonsai::reachability {

// The values in force of constants, by index.
std::vector<std::string> ValuesOf(const object::ObjectSpec& object,
                                  const constants::ConstantSet& constants);
std::string InWords(const object::ObjectSpec& object, const Deciding& deciding);
std::string InWords(const object::ObjectSpec& object, const Step& step);

}  // namespace bonsai::reachability
