// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/diff.h"

namespace bonsai::tables {

MapDiff Diff(const MapContents& current, const MapContents& desired) {
  MapDiff diff;
  for (const auto& [key, value] : desired) {
    const auto found = current.find(key);
    if (found != current.end() && found->second == value) continue;
    ++(found == current.end() ? diff.added : diff.changed);
    diff.upserts.emplace_back(key, value);
  }
  for (const auto& [key, value] : current) {
    if (!desired.contains(key)) diff.deletes.push_back(key);
  }
  return diff;
}

}  // namespace bonsai::tables
