// SPDX-License-Identifier: Apache-2.0
// The problems that are in force: said once when they begin, once when they end. Used by the
// reconciler thread alone.
#pragma once

#include <absl/status/status.h>

#include <map>
#include <string>
#include <vector>

#include "agent/base/logging.h"
#include "agent/report/snapshot.h"

namespace bonsai::control {

class Problems {
 public:
  explicit Problems(base::Logger log) : log_(std::move(log)) {}

  // Makes `messages` the problems of `code`; empty: it has none (any more). Logs what is new and
  // what is over; a problem that stays keeps its beginning and is not logged again.
  void Set(const std::string& code, const std::vector<std::string>& messages);
  // OK: none. Takes over where a change failed (base::PlaceOf) and the verifier's last lines.
  void Set(const std::string& code, const absl::Status& status);
  void Set(const std::string& code, const std::vector<absl::Status>& errors);

  std::vector<report::Problem> List() const;
  bool Has(const std::string& code) const { return by_code_.contains(code); }

 private:
  using ByMessage = std::map<std::string, report::Problem>;
  void Replace(const std::string& code, std::vector<report::Problem> problems);

  base::Logger log_;
  std::map<std::string, ByMessage> by_code_;
};

}  // namespace bonsai::control
