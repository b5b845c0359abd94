// SPDX-License-Identifier: Apache-2.0
// Edit distance, for "did you mean". Pure.
#pragma once

#include <cstddef>
#include <string>

namespace bonsai::settings {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
size_t EditDistance(const std::string& a, const std::string& b);

}  // namespace bonsai::settings
