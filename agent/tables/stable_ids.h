// SPDX-License-Identifier: Apache-2.0
// StableIds: small numbers for names. A name keeps its number as long as it stays in use; and
// because the number comes from a hash of the name, it has the same one after a restart (collisions
// aside), so that a restarted agent finds the map contents of its predecessor right. Not
// thread-safe.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace bonsai::tables {

class StableIds {
 public:
  // Numbers from `first` to `last`, both included. `what` names them in errors.
  StableIds(std::string what, uint32_t first, uint32_t last);

  // Makes `names` the names in use: new ones get a number, numbers of the others become free.
  // ResourceExhausted when the range is too small; then nothing has changed.
  absl::Status Assign(const std::set<std::string>& names);

  // The number of a name in use (std::out_of_range otherwise: our bug).
  uint32_t at(const std::string& name) const { return ids_.at(name); }

 private:
  std::string what_;
  uint32_t first_, last_;
  std::map<std::string, uint32_t> ids_;
};

}  // namespace bonsai::tables
