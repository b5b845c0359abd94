// SPDX-License-Identifier: Apache-2.0
#include "agent/control/problems.h"

#include "agent/base/status.h"

namespace bonsai::control {

void Problems::Set(const std::string& code, const std::vector<std::string>& messages) {
  std::map<std::string, report::WallTime> next;
  const auto before = by_code_.find(code);
  for (const std::string& message : messages) {
    const bool known = before != by_code_.end() && before->second.contains(message);
    next[message] = known ? before->second.at(message) : std::chrono::system_clock::now();
    if (!known) log_->warn("{}: {}", code, message);
  }
  if (before != by_code_.end() && next.empty()) log_->info("{}: resolved", code);
  if (next.empty()) {
    by_code_.erase(code);
  } else {
    by_code_[code] = std::move(next);
  }
}

void Problems::Set(const std::string& code, const absl::Status& status) {
  if (status.ok()) {
    Set(code, std::vector<std::string>());
    return;
  }
  std::string message = base::Message(status);
  Set(code, std::vector<std::string>{message});
}

std::vector<report::Problem> Problems::List() const {
  std::vector<report::Problem> list;
  for (const auto& [code, messages] : by_code_) {
    for (const auto& [message, since] : messages) list.push_back({code, message, since});
  }
  return list;
}

}  // namespace bonsai::control
