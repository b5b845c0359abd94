// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/plan.h"

#include <filesystem>
#include <optional>

#include "agent/base/status.h"
#include "agent/cli/input.h"
#include "agent/plan/change.h"
#include "agent/report/to_proto.h"
#include "agent/settings/settings_source.h"
#include "agent/settings/text.h"

namespace bonsai::cli {
namespace {

using settings::Printable;
using settings::RawSettings;

absl::Status CheckUtf8(const std::string& where, const std::string& text) {
  if (IsUtf8(text)) return absl::OkStatus();
  return base::InvalidArgument("{}: not UTF-8", where);
}

// A flat YAML file, or the directory that a ConfigMap is mounted at.
absl::StatusOr<RawSettings> ReadConfig(const std::string& path) {
  std::error_code error;
  absl::StatusOr<RawSettings> raw;
  if (std::filesystem::is_directory(path, error)) {
    raw = settings::ReadDirectory(path);
  } else {
    ASSIGN_OR_RETURN(const std::string text, ReadWhole(path, kLargestConfig));
    raw = settings::ParseYaml(Printable(path), text);
  }
  if (!raw.ok()) return absl::InvalidArgumentError(base::Message(raw.status()));
  for (const auto& [key, value] : *raw) {
    RETURN_IF_ERROR(CheckUtf8(Printable(path) + ": " + Printable(key), key + value));
  }
  return raw;
}

absl::StatusOr<RawSettings> Overrides(const PlanOptions& options) {
  RawSettings overrides;
  for (const std::string& text : options.assignments) {
    const auto sides = Cut(text);
    if (!sides) return base::InvalidArgument("--set {}: expected KEY=VALUE", Printable(text));
    RETURN_IF_ERROR(CheckUtf8("--set " + Printable(text), text));
    overrides[sides->first] = sides->second;
  }
  return overrides;
}

absl::StatusOr<RawSettings> Current(const PlanOptions& options) {
  if (options.current.empty()) return RawSettings();
  return ReadConfig(options.current);
}

}  // namespace

absl::StatusOr<v1::PlanChangeResponse> PlanOnline(const PlanOptions& options, Client& client,
                                                  Client::Timeout timeout) {
  v1::PlanChangeRequest request;
  if (!options.config.empty()) {
    ASSIGN_OR_RETURN(const RawSettings config, ReadConfig(options.config));
    request.mutable_configuration()->mutable_values()->insert(config.begin(), config.end());
  }
  ASSIGN_OR_RETURN(const RawSettings overrides, Overrides(options));
  request.mutable_overrides()->insert(overrides.begin(), overrides.end());
  return client.PlanChange(request, timeout);
}

absl::StatusOr<v1::PlanChangeResponse> PlanOffline(const PlanOptions& options) {
  ASSIGN_OR_RETURN(const RawSettings current, Current(options));
  RawSettings wanted = current;
  if (!options.config.empty()) {
    ASSIGN_OR_RETURN(wanted, ReadConfig(options.config));
  }
  ASSIGN_OR_RETURN(const RawSettings overrides, Overrides(options));
  for (const auto& [key, value] : overrides) wanted[key] = value;
  const absl::StatusOr<plan::Inputs> inputs = plan::ReadInputs(options.objects);
  // Wrong objects are a wrong argument here, whatever is wrong with them.
  if (!inputs.ok()) return absl::InvalidArgumentError(base::Message(inputs.status()));
  const auto settings = settings::Parse(*inputs->schema, current);
  RETURN_IF_ERROR(base::Annotate(settings.status(), "--current " + Printable(options.current)));
  ASSIGN_OR_RETURN(const plan::LoadPlan now,
                   plan::MakeFor(*inputs, *settings, plan::Reasons::kNone, nullptr));
  const plan::Before before{.settings = &*settings, .plan = &now};
  ASSIGN_OR_RETURN(const plan::Change change, plan::PlanChange(*inputs, before, wanted, nullptr));
  return report::ToPlan(change, /*generation=*/0);
}

}  // namespace bonsai::cli
