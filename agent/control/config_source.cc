// SPDX-License-Identifier: Apache-2.0
#include "agent/control/config_source.h"

#include "agent/base/status.h"
#include "agent/settings/settings_source.h"

namespace bonsai::control {

ConfigSource::ConfigSource(const Options& options, const settings::Schema& schema)
    : is_directory_(!options.config_dir.empty()),
      path_(is_directory_ ? options.config_dir : options.config_file),
      schema_(schema) {}

absl::StatusOr<settings::Settings> ConfigSource::Read() const {
  settings::RawSettings raw;
  if (!path_.empty()) {
    ASSIGN_OR_RETURN(raw, is_directory_ ? settings::ReadDirectory(path_) : settings::ReadFile(path_));
  }
  return settings::Parse(schema_, raw);
}

}  // namespace bonsai::control
