// SPDX-License-Identifier: Apache-2.0
// Tables of what decides and of ways through code, whoever explains: `analyze` and `explain`. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/cli/table.h"
#include "agent/reachability/explain.h"

namespace bonsai::cli {

struct WhyPlace {
  std::string function;
  uint32_t slot = 0;
  std::string file, text;  // "" when not known
  uint32_t line = 0;
};

struct DecidingRow {
  std::string values;      // "enable_policy = false, x = 3"
  std::string what;
  WhyPlace place;
  bool direct = true;
};

struct StepRow {
  std::string what;
  WhyPlace place;
  bool aside = false;      // a branch that need not be as it is
};

std::string DecidingTable(const std::vector<DecidingRow>& rows, Style style);
std::string WayTable(const std::vector<StepRow>& rows, Style style);

std::string WordsFor(reachability::Deciding::Kind kind, bool taken);
// `values`: of a branch; `tail`: of a tail call.
std::string WordsFor(reachability::Step::Kind kind, const std::string& name,
                     const std::string& values, bool taken, const object::TailSlot& tail);
// "name = value", or "name" of what has no value in words.
std::string ValueWords(const std::string& name, const std::string& value);

}  // namespace bonsai::cli
