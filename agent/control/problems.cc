// SPDX-License-Identifier: Apache-2.0
#include "agent/control/problems.h"

#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_object.h"

namespace bonsai::control {
namespace {

// Enough to see what the verifier was looking at.
constexpr size_t kVerifierLines = 5;

std::string LogText(const report::Problem& problem) {
  std::string text = problem.message;
  if (!problem.step.empty()) text += fmt::format(" [step: {}; object: {}]", problem.step, problem.object);
  for (const std::string& line : problem.verifier) text += "\n  verifier: " + line;
  return text;
}

}  // namespace

void Problems::Replace(const std::string& code, std::vector<report::Problem> problems) {
  ByMessage next;
  const auto before = by_code_.find(code);
  for (report::Problem& problem : problems) {
    const bool known = before != by_code_.end() && before->second.contains(problem.message);
    problem.since = known ? before->second.at(problem.message).since
                          : std::chrono::system_clock::now();
    if (!known) log_->warn("{}: {}", code, LogText(problem));
    next[problem.message] = std::move(problem);
  }
  if (before != by_code_.end() && next.empty()) log_->info("{}: resolved", code);
  if (next.empty()) {
    by_code_.erase(code);
  } else {
    by_code_[code] = std::move(next);
  }
}

void Problems::Set(const std::string& code, const std::vector<std::string>& messages) {
  std::vector<report::Problem> problems;
  for (const std::string& message : messages) problems.push_back({.code = code, .message = message});
  Replace(code, std::move(problems));
}

void Problems::Set(const std::string& code, const absl::Status& status) {
  std::vector<absl::Status> errors;
  if (!status.ok()) errors.push_back(status);
  Set(code, errors);
}

void Problems::Set(const std::string& code, const std::vector<absl::Status>& errors) {
  std::vector<report::Problem> problems;
  for (const absl::Status& error : errors) {
    const base::Place place = base::PlaceOf(error);
    // One a line, so that each can come and go by itself.
    for (std::string& line : base::Lines(error)) {
      problems.push_back(
          {.code = code,
           .message = std::move(line),
           .step = place.step,
           .object = place.object,
           .verifier = kernel::LastVerifierLines(base::VerifierLog(error), kVerifierLines)});
    }
  }
  Replace(code, std::move(problems));
}

std::vector<report::Problem> Problems::List() const {
  std::vector<report::Problem> list;
  for (const auto& [code, problems] : by_code_) {
    for (const auto& [message, problem] : problems) list.push_back(problem);
  }
  return list;
}

}  // namespace bonsai::control
