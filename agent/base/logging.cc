// SPDX-License-Identifier: Apache-2.0
#include "agent/base/logging.h"

#include <spdlog/sinks/stdout_sinks.h>

#include "agent/base/status.h"

namespace bonsai::base {

Logger MakeLogger() {
  auto logger =
      std::make_shared<spdlog::logger>("bonsai", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::trace);
  return logger;
}

absl::Status SetLevel(spdlog::logger& logger, const std::string& level) {
  if (level != "error" && level != "warning" && level != "info" && level != "debug") {
    return InvalidArgument("setting log level: \"{}\" is none of error, warning, info, debug", level);
  }
  logger.set_level(spdlog::level::from_str(level));
  return absl::OkStatus();
}

}  // namespace bonsai::base
