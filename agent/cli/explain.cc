// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/explain.h"

#include "agent/base/status.h"
#include "agent/cli/input.h"
#include "agent/plan/inputs.h"
#include "agent/report/explain_to_proto.h"
#include "agent/settings/text.h"

namespace bonsai::cli {
namespace {

absl::StatusOr<settings::Settings> SettingsOf(const ExplainOptions& options,
                                              const settings::Schema& schema) {
  ASSIGN_OR_RETURN(settings::RawSettings raw, ReadConfig(options.config));
  ASSIGN_OR_RETURN(const settings::RawSettings overrides, ReadAssignments(options.assignments));
  for (const auto& [key, value] : overrides) raw[key] = value;
  return settings::Parse(schema, raw);
}

}  // namespace

absl::StatusOr<v1::ExplainResponse> ExplainOnline(const ExplainOptions& options, Client& client,
                                                  Client::Timeout timeout) {
  // Messages of the contract carry nothing else.
  if (!IsUtf8(options.request.name())) {
    return base::InvalidArgument("explaining {}: not UTF-8",
                                 settings::Quote(options.request.name()));
  }
  return client.Explain(options.request, timeout);
}

absl::StatusOr<v1::ExplainResponse> ExplainOffline(const ExplainOptions& options) {
  ASSIGN_OR_RETURN(const plan::Inputs inputs, plan::ReadInputs(options.objects));
  ASSIGN_OR_RETURN(const settings::Settings settings, SettingsOf(options, *inputs.schema));
  return report::Explain(options.request, inputs, settings, nullptr);
}

}  // namespace bonsai::cli
