// SPDX-License-Identifier: Apache-2.0
// What has to be written to bring a map from what it holds to what it shall hold. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/tables/map_contents.h"

namespace bonsai::tables {

struct MapDiff {
  std::vector<std::pair<Bytes, Bytes>> upserts;  // new keys and changed values
  std::vector<Bytes> deletes;
  uint64_t added = 0, changed = 0;
  bool empty() const { return upserts.empty() && deletes.empty(); }
  bool operator==(const MapDiff&) const = default;
};

MapDiff Diff(const MapContents& current, const MapContents& desired);

}  // namespace bonsai::tables
