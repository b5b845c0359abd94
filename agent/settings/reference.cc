// SPDX-License-Identifier: Apache-2.0
#include "agent/settings/reference.h"

#include <fmt/format.h>

#include "agent/settings/text.h"
#include "agent/settings/value.h"

namespace bonsai::settings {
namespace {

std::string Code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

std::string Row(const SettingSpec& spec) {
  std::string needs;
  for (const std::string& key : spec.requires_keys) needs += (needs.empty() ? "" : ", ") + Code(key);
  return fmt::format("| {} | {} | {} | {} | {} |\n", Code(spec.key),
                     Code(Format(spec.default_value)), Allowed(spec), needs, spec.doc);
}

}  // namespace

std::string MarkdownReference(const Schema& schema) {
  std::map<std::string, std::string> rows;  // by feature
  for (const auto& [key, spec] : schema.specs()) rows[spec.feature] += Row(spec);
  std::string page = "# Settings\n";
  for (const auto& [feature, table] : rows) {
    page += fmt::format("\n## {}\n\n| key | default | allowed | needs | what it does |\n"
                        "|---|---|---|---|---|\n{}", feature, table);
  }
  return page;
}

}  // namespace bonsai::settings
