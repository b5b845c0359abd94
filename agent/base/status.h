// SPDX-License-Identifier: Apache-2.0
// absl::Status with fmt-style messages. Debian's abseil 20220623 has its own string_view and no
// status macros, so text goes in and out as std::string here.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace bonsai::base {

// The message as a std::string; empty for OK.
std::string Message(const absl::Status& status);
// The lines of its message, without empty ones.
std::vector<std::string> Lines(const absl::Status& status);

// "<context>: <message>", same code and payloads. OK stays OK.
absl::Status Annotate(const absl::Status& status, const std::string& context);

// "<message><more>", same code and payloads.
absl::Status Append(const absl::Status& status, const std::string& more);

// An error from errno: the code that fits `error_number`, message "<what>: <strerror>".
absl::Status ErrnoStatus(int error_number, const std::string& what);

// The kernel verifier's log travels as a payload, so that messages stay one line.
void SetVerifierLog(absl::Status& status, const std::string& log);
std::string VerifierLog(const absl::Status& status);

// Where a change of the kernel failed: the step ("load program", "attach") and what it was about
// ("from_pod/fp_lb4", "to-pod of veth-a (ifindex 4)"). Travels as a payload.
struct Place {
  std::string step, object;
};
// OK stays OK; a place that is known already stays, being the nearer one.
absl::Status At(absl::Status status, const std::string& step, const std::string& object);
Place PlaceOf(const absl::Status& status);  // empty when it carries none

template <typename... Args>
absl::Status MakeStatus(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return absl::Status(code, fmt::format(format, std::forward<Args>(args)...));
}
// The operator's mistake: a bad setting, file or argument.
template <typename... Args>
absl::Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, format, std::forward<Args>(args)...);
}
// The kernel or the node lacks something, or the state forbids it.
template <typename... Args>
absl::Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kNotFound, format, std::forward<Args>(args)...);
}
// Worth another try.
template <typename... Args>
absl::Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kUnavailable, format, std::forward<Args>(args)...);
}
// Our own bug.
template <typename... Args>
absl::Status Internal(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kInternal, format, std::forward<Args>(args)...);
}

}  // namespace bonsai::base

// As RETURN_IF_ERROR; what is returned carries the place.
#define RETURN_IF_ERROR_AT(expr, step, object)                                       \
  do {                                                                               \
    ::absl::Status _status = (expr);                                                 \
    if (!_status.ok()) return ::bonsai::base::At(std::move(_status), step, object);  \
  } while (false)

#define BONSAI_CONCAT_(a, b) a##b
#define BONSAI_CONCAT(a, b) BONSAI_CONCAT_(a, b)

#define RETURN_IF_ERROR(expr)                  \
  do {                                         \
    ::absl::Status _status = (expr);           \
    if (!_status.ok()) return _status;         \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_(BONSAI_CONCAT(_status_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                      \
  if (!tmp.ok()) return tmp.status();     \
  lhs = std::move(tmp).value()
