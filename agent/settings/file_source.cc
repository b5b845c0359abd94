// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <yaml-cpp/yaml.h>

#include <chrono>
#include <thread>

#include "agent/base/status.h"
#include "agent/settings/settings_source.h"
#include "agent/settings/snapshot_file.h"
#include "agent/settings/text.h"
#include "agent/settings/yaml_documents.h"

namespace bonsai::settings {
namespace {

using Problems = std::vector<std::string>;

constexpr int kAttempts = 10;
constexpr std::chrono::milliseconds kStablePause(20);

// The text of one value; "" and a line in `problems` when it has none.
std::string ValueText(const std::string& where, const YAML::Node& value, Problems& problems) {
  if (value.IsScalar()) return value.Scalar();
  if (value.IsNull()) {
    problems.push_back(where + "no value; write \"\" for an empty one");
    return "";
  }
  if (!value.IsSequence()) {
    problems.push_back(where + "a nested mapping; settings are flat");
    return "";
  }
  std::vector<std::string> elements;
  for (const YAML::Node& element : value) {
    if (element.IsScalar() && element.Scalar().find(',') == std::string::npos) {
      elements.push_back(element.Scalar());
    } else {
      problems.push_back(where + "each element of a list must be one plain value");
    }
  }
  return Join(elements, ",");
}

absl::StatusOr<RawSettings> FromMapping(const std::string& name, const YAML::Node& root) {
  RawSettings raw;
  Problems problems;
  for (const auto& entry : root) {
    const int line = entry.first.Mark().line + 1;
    if (!entry.first.IsScalar()) {
      problems.push_back(fmt::format("{}:{}: a key that is no plain word", name, line));
      continue;
    }
    const std::string& key = entry.first.Scalar();
    const std::string where = fmt::format("{}:{}: {}: ", name, line, Printable(key));
    const std::string text = ValueText(where, entry.second, problems);
    if (!raw.try_emplace(key, text).second) problems.push_back(where + "given twice");
  }
  if (!problems.empty()) return absl::InvalidArgumentError(Join(problems, "\n"));
  return raw;
}

// A file being written in place is seen truncated or half: two equal reads say it is at rest.
absl::StatusOr<std::string> ReadStable(const std::string& path) {
  ASSIGN_OR_RETURN(FileContent last, ReadFileAt(AT_FDCWD, path, path));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::this_thread::sleep_for(kStablePause);
    ASSIGN_OR_RETURN(FileContent now, ReadFileAt(AT_FDCWD, path, path));
    if (now.text == last.text) return now.text;
    last = std::move(now);
  }
  return base::Unavailable("reading configuration file {}: it kept changing while it was read",
                           path);
}

}  // namespace

absl::StatusOr<RawSettings> ParseYaml(const std::string& name, const std::string& text) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (HasMoreDocuments(text, 1)) return base::InvalidArgument("{}: more than one document", name);
    if (root.IsNull()) {
      return base::InvalidArgument("{}: it is empty; write {{}} for no settings", name);
    }
    if (!root.IsMap()) {
      return base::InvalidArgument("{}: not a mapping of settings to values", name);
    }
    return FromMapping(name, root);
  } catch (const YAML::Exception& error) {
    return base::InvalidArgument("{}:{}: not YAML: {}", name, error.mark.line + 1,
                                 Printable(error.msg));
  } catch (const std::exception& error) {
    return base::InvalidArgument("{}: not YAML: {}", name, Printable(error.what()));
  }
}

absl::StatusOr<RawSettings> ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadStable(path));
  return ParseYaml(path, text);
}

}  // namespace bonsai::settings
