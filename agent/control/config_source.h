// SPDX-License-Identifier: Apache-2.0
// The configuration as it stands on disk, held against the one in force. Used by the reconciler
// thread alone.
#pragma once

#include <absl/status/status.h>

#include <optional>
#include <string>

#include "agent/control/options.h"
#include "agent/report/snapshot.h"
#include "agent/settings/settings.h"

namespace bonsai::control {

class ConfigSource {
 public:
  ConfigSource(const Options& options, const settings::Schema& schema);

  // Reads what is on disk. OK with the parsed settings, or why they are refused. A missing directory
  // at the very start is refused like any other wrong input: nothing is in force then.
  absl::StatusOr<settings::Settings> Read() const;

  // Directory or file, for messages and the watcher; "" when neither was given.
  const std::string& path() const { return path_; }

 private:
  bool is_directory_;
  std::string path_;
  const settings::Schema& schema_;
};

}  // namespace bonsai::control
