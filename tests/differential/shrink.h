// SPDX-License-Identifier: Apache-2.0
// Delta debugging: the smallest part of a list of parts that still fails.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

namespace bonsai::differential {

// `fails(kept)`: whether the case with only the marked parts still fails; called at most `budget`
// times, of which `budget` is what is left. `kept` starts with all that fails and ends with a
// subset of it that fails, from which no single part can be taken away unless the budget ran out.
inline void Shrink(std::vector<bool>& kept, int& budget,
                   const std::function<bool(const std::vector<bool>&)>& fails) {
  const auto count = [](const std::vector<bool>& parts) {
    return static_cast<size_t>(std::count(parts.begin(), parts.end(), true));
  };
  for (size_t chunk = std::max<size_t>(1, count(kept) / 2);;) {
    bool shrunk = false;
    for (size_t at = 0; at < kept.size() && budget > 0;) {
      std::vector<bool> tried = kept;
      size_t taken = 0;
      for (; at < kept.size() && taken < chunk; ++at) {
        taken += kept[at];
        tried[at] = false;
      }
      if (taken == 0) break;
      --budget;
      if (!fails(tried)) continue;
      kept = tried;
      shrunk = true;
    }
    if (budget <= 0 || (chunk == 1 && !shrunk)) return;
    if (!shrunk) chunk = std::max<size_t>(1, chunk / 2);
  }
}

}  // namespace bonsai::differential
