// SPDX-License-Identifier: Apache-2.0
// Snapshot to the messages of bonsai.v1. Pure; lists come out in the order the contract promises.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "agent/plan/change.h"
#include "agent/plan/feature_cost.h"
#include "agent/report/flow.h"
#include "agent/report/snapshot.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::report {

v1::GetStatusResponse ToStatus(const Snapshot& snapshot);
v1::GetVersionResponse ToVersion(const Snapshot& snapshot);
v1::ListFeaturesResponse ToFeatures(const Snapshot& snapshot);
v1::ListMapsResponse ToMaps(const Snapshot& snapshot);
v1::ListProgramsResponse ToPrograms(const Snapshot& snapshot);
v1::ListConstantsResponse ToConstants(const Snapshot& snapshot);
v1::GetConfigResponse ToConfig(const Snapshot& snapshot);
v1::ListEndpointsResponse ToEndpoints(const Snapshot& snapshot);
v1::ListServicesResponse ToServices(const Snapshot& snapshot);
v1::ListPoliciesResponse ToPolicies(const Snapshot& snapshot);

// Its value in force, its default and what it may be.
v1::Setting ToSetting(const settings::SettingSpec& spec, const settings::Settings& settings);
// `generation`: what the change is held against; 0: nothing, or no agent.
v1::PlanChangeResponse ToPlan(const plan::Change& change, uint64_t generation);
// Puts each cost beside its feature.
void AddCosts(const std::vector<plan::FeatureCost>& costs, v1::ListFeaturesResponse& response);

v1::Flow ToFlow(const Flow& flow);
// InvalidArgument for an address that is none, or a layer 7 protocol that is not known.
absl::StatusOr<FlowFilter> ToFilter(const v1::StreamFlowsRequest& request);

}  // namespace bonsai::report
