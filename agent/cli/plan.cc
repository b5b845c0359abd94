// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/plan.h"

#include "agent/base/status.h"
#include "agent/cli/input.h"
#include "agent/plan/change.h"
#include "agent/report/to_proto.h"
#include "agent/settings/text.h"

namespace bonsai::cli {
namespace {

using settings::Printable;
using settings::RawSettings;

}  // namespace

absl::StatusOr<v1::PlanChangeResponse> PlanOnline(const PlanOptions& options, Client& client,
                                                  Client::Timeout timeout) {
  v1::PlanChangeRequest request;
  if (!options.config.empty()) {
    ASSIGN_OR_RETURN(const RawSettings config, ReadConfig(options.config));
    request.mutable_configuration()->mutable_values()->insert(config.begin(), config.end());
  }
  ASSIGN_OR_RETURN(const RawSettings overrides, ReadAssignments(options.assignments));
  request.mutable_overrides()->insert(overrides.begin(), overrides.end());
  return client.PlanChange(request, timeout);
}

absl::StatusOr<v1::PlanChangeResponse> PlanOffline(const PlanOptions& options) {
  ASSIGN_OR_RETURN(const RawSettings current, ReadConfig(options.current));
  RawSettings wanted = current;
  if (!options.config.empty()) {
    ASSIGN_OR_RETURN(wanted, ReadConfig(options.config));
  }
  ASSIGN_OR_RETURN(const RawSettings overrides, ReadAssignments(options.assignments));
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
