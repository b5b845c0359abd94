// SPDX-License-Identifier: Apache-2.0
// The log: one line an event on stderr, through spdlog. Only control/ and main/ log.
// Thread-safe.
#pragma once

#include <absl/status/status.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace bonsai::base {

using Logger = std::shared_ptr<spdlog::logger>;

// A logger to stderr. Lines: time, level, message.
Logger MakeLogger();

// `level`: error, warning, info or debug. InvalidArgument for any other.
absl::Status SetLevel(spdlog::logger& logger, const std::string& level);

}  // namespace bonsai::base
