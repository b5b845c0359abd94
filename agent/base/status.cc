// SPDX-License-Identifier: Apache-2.0
#include "agent/base/status.h"

#include <absl/strings/cord.h>

#include <algorithm>
#include <cstring>
#include <system_error>

namespace bonsai::base {
namespace {
constexpr char kVerifierLog[] = "bonsai/verifier-log";
constexpr char kStep[] = "bonsai/step";
constexpr char kObject[] = "bonsai/object";

std::string Payload(const absl::Status& status, const char* name) {
  auto payload = status.GetPayload(name);
  return payload ? std::string(*payload) : std::string();
}

absl::Status WithMessage(const absl::Status& status, const std::string& message) {
  if (status.ok()) return status;
  absl::Status changed(status.code(), message);
  status.ForEachPayload(
      [&](auto url, const absl::Cord& payload) { changed.SetPayload(url, payload); });
  return changed;
}
}  // namespace

std::string Message(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

std::vector<std::string> Lines(const absl::Status& status) {
  std::vector<std::string> lines;
  const std::string text = Message(status);
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    if (end > start) lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

absl::Status Annotate(const absl::Status& status, const std::string& context) {
  return WithMessage(status, context + ": " + Message(status));
}

absl::Status Append(const absl::Status& status, const std::string& more) {
  return WithMessage(status, Message(status) + more);
}

absl::Status ErrnoStatus(int error_number, const std::string& what) {
  return absl::Status(absl::ErrnoToStatusCode(error_number),
                      what + ": " + std::generic_category().message(error_number));
}

void SetVerifierLog(absl::Status& status, const std::string& log) {
  if (!status.ok()) status.SetPayload(kVerifierLog, absl::Cord(log));
}

std::string VerifierLog(const absl::Status& status) {
  return Payload(status, kVerifierLog);
}

absl::Status At(absl::Status status, const std::string& step, const std::string& object) {
  if (status.ok() || status.GetPayload(kStep)) return status;
  status.SetPayload(kStep, absl::Cord(step));
  status.SetPayload(kObject, absl::Cord(object));
  return status;
}

Place PlaceOf(const absl::Status& status) {
  return {Payload(status, kStep), Payload(status, kObject)};
}

}  // namespace bonsai::base
