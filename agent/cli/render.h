// SPDX-License-Identifier: Apache-2.0
// The agent's answers as text for people. Pure, but for the time zone.
#pragma once

#include <ctime>
#include <string>

#include "agent/cli/table.h"
#include "bonsai/v1/agent.pb.h"

namespace bonsai::cli {

// One screen, 80x24. `now`: the caller's clock.
std::string Render(const v1::GetStatusResponse& status, Style style, std::time_t now);

std::string Render(const v1::GetVersionResponse& version, Style style);
std::string Render(const v1::ListFeaturesResponse& features, Style style);
std::string Render(const v1::ListMapsResponse& maps, Style style);
std::string Render(const v1::ListProgramsResponse& programs, Style style);
std::string Render(const v1::ListConstantsResponse& constants, Style style);
std::string Render(const v1::GetConfigResponse& config, Style style);
std::string Render(const v1::ListEndpointsResponse& endpoints, Style style);
std::string Render(const v1::ListServicesResponse& services, Style style);
std::string Render(const v1::ListPoliciesResponse& policies, Style style);
std::string Render(const v1::ExplainResponse& answer, Style style);
std::string Render(const v1::Flow& flow, Style style);  // one line
// One screen: lines that begin with +, -, ~ or !. What does not fit is counted.
std::string Render(const v1::PlanChangeResponse& plan, Style style);

}  // namespace bonsai::cli
