// SPDX-License-Identifier: Apache-2.0
// The parsed command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/analyze_options.h"
#include "agent/cli/explain.h"
#include "agent/cli/life_options.h"
#include "agent/cli/plan_options.h"
#include "agent/control/uninstall.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::cli {

enum class Format { kTable, kJson, kYaml, kDot };  // kDot: analyze alone

struct Options {
  std::string command;
  std::string socket = "/run/bonsai/agent.sock";
  Format format = Format::kTable;
  std::optional<double> timeout;      // seconds
  std::optional<double> watch;        // seconds between two looks
  v1::StreamFlowsRequest flows;
  AnalyzeOptions analyze;
  ExplainOptions explain;
  PlanOptions plan;
  LifeOptions life;
  control::UninstallOptions uninstall;
};

struct Parsed {
  std::optional<int> exit;  // set: all is said, leave with this code
  Options options;
  std::string completion;   // command completion: the script
};

// Prints help and usage errors itself.
Parsed ParseCommandLine(int argc, const char* const* argv);

}  // namespace bonsai::cli
