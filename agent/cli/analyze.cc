// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <new>
#include <system_error>

#include "agent/base/status.h"
#include "agent/base/worker.h"

namespace bonsai::cli {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<bool> Entries(const std::vector<std::string>& names, const object::ObjectSpec& object) {
  std::vector<bool> entries;
  for (const object::Program& program : object.programs) {
    const bool named = std::find(names.begin(), names.end(), program.name) != names.end();
    entries.push_back(names.empty() ? !program.tail : named);
  }
  return entries;
}

absl::Status Complete(const AnalyzeOptions& options, base::Worker& worker,
                      Analysis& analysis) {
  RETURN_IF_ERROR(BindTails(options.tails, analysis.object));
  RETURN_IF_ERROR(CheckEntries(options.entries, analysis.object));
  ASSIGN_OR_RETURN(analysis.constants, ConstantsInForce(options, analysis.object));
  const Clock::time_point start = Clock::now();
  ASSIGN_OR_RETURN(analysis.liveness, reachability::Analyze(analysis.object, analysis.constants,
                                                            options.entries, &worker));
  analysis.analyse_seconds = SecondsSince(start);
  reachability::Explain(analysis.object, analysis.constants, analysis.liveness);
  analysis.entries = Entries(options.entries, analysis.object);
  return absl::OkStatus();
}

absl::StatusOr<Analysis> Run(const AnalyzeOptions& options) {
  const Clock::time_point start = Clock::now();
  base::Worker worker;
  std::error_code ignored;
  const uintmax_t size = std::filesystem::file_size(options.object, ignored);
  if (!ignored && size >= object::kBytesOfLargeObject) worker.Start();
  // Not copied: this is half of the reading, and the process ends with the answer.
  ASSIGN_OR_RETURN(object::ObjectSpec object,
                   object::Read(options.object, object::Storage::kMapped, &worker));
  Analysis analysis{.path = options.object, .object = std::move(object),
                    .read_seconds = SecondsSince(start)};
  RETURN_IF_ERROR(base::Annotate(Complete(options, worker, analysis), options.object));
  return analysis;
}

}  // namespace

absl::StatusOr<Analysis> Analyze(const AnalyzeOptions& options) {
  // Whatever an object makes of it: one line, and no crash.
  try {
    return Run(options);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(options.object + ": not enough memory");
  }
}

}  // namespace bonsai::cli
