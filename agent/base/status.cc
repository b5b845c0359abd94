// SPDX-License-Identifier: Apache-2.0
#include "agent/base/status.h"

#include <absl/strings/cord.h>

#include <cstring>
#include <system_error>

namespace bonsai::base {
namespace {
constexpr char kVerifierLog[] = "bonsai/verifier-log";
}

std::string Message(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

absl::Status Annotate(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), context + ": " + Message(status));
  status.ForEachPayload(
      [&](auto url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

absl::Status ErrnoStatus(int error_number, const std::string& what) {
  return absl::Status(absl::ErrnoToStatusCode(error_number),
                      what + ": " + std::generic_category().message(error_number));
}

void SetVerifierLog(absl::Status& status, const std::string& log) {
  if (!status.ok()) status.SetPayload(kVerifierLog, absl::Cord(log));
}

std::string VerifierLog(const absl::Status& status) {
  auto payload = status.GetPayload(kVerifierLog);
  return payload ? std::string(*payload) : std::string();
}

}  // namespace bonsai::base
