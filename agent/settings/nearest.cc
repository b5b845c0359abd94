// SPDX-License-Identifier: Apache-2.0
#include "agent/settings/nearest.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <vector>

#include "agent/settings/settings.h"

namespace bonsai::settings {
namespace {

constexpr size_t kLongestKey = 128;  // keeps hostile keys cheap

// Spelling habits that are no typing errors: case, and underscores as in the constants' names.
std::string Fold(const std::string& key) {
  std::string folded = key;
  for (char& c : folded) {
    c = c == '_' || c == '.' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return folded;
}

}  // namespace

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string Schema::Nearest(const std::string& key) const {
  if (key.empty() || key.size() > kLongestKey) return "";
  const std::string folded = Fold(key);
  const size_t near = std::max<size_t>(1, folded.size() / 4);
  size_t best_distance = std::numeric_limits<size_t>::max();
  std::string best;
  for (const auto& [known, spec] : specs_) {
    // A toggle is often called by the name of its feature alone.
    const size_t distance =
        std::min(EditDistance(folded, known), EditDistance("enable-" + folded, known));
    if (distance <= near && distance < best_distance) {
      best_distance = distance;
      best = known;
    }
  }
  return best;
}

}  // namespace bonsai::settings
