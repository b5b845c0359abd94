// SPDX-License-Identifier: Apache-2.0
// StatusService: bonsai.v1.Agent out of the current snapshot. Called by gRPC's threads; it holds no
// state but the flag that ends streams and plans, the costs of features and the number of
// explanations in the making.
#pragma once

#include <atomic>

#include "agent/plan/inputs.h"
#include "agent/report/explain_service.h"
#include "agent/report/flow_hub.h"
#include "agent/report/plan_desk.h"
#include "agent/report/snapshot.h"
#include "bonsai/v1/agent.grpc.pb.h"

namespace bonsai::report {

class StatusService final : public v1::Agent::Service {
 public:
  // Both must outlive the service.
  StatusService(const Publisher& publisher, FlowHub& hub) : publisher_(publisher), hub_(hub) {}

  // Open streams end within kStreamTick, plans with the object at hand.
  void EndStreams() { ending_ = true; }

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*,
                         v1::GetStatusResponse* response) override;
  grpc::Status GetVersion(grpc::ServerContext*, const v1::GetVersionRequest*,
                          v1::GetVersionResponse* response) override;
  grpc::Status ListFeatures(grpc::ServerContext*, const v1::ListFeaturesRequest*,
                            v1::ListFeaturesResponse* response) override;
  grpc::Status ListMaps(grpc::ServerContext*, const v1::ListMapsRequest*,
                        v1::ListMapsResponse* response) override;
  grpc::Status ListPrograms(grpc::ServerContext*, const v1::ListProgramsRequest*,
                            v1::ListProgramsResponse* response) override;
  grpc::Status ListConstants(grpc::ServerContext*, const v1::ListConstantsRequest*,
                             v1::ListConstantsResponse* response) override;
  grpc::Status GetConfig(grpc::ServerContext*, const v1::GetConfigRequest*,
                         v1::GetConfigResponse* response) override;
  grpc::Status ListEndpoints(grpc::ServerContext*, const v1::ListEndpointsRequest*,
                             v1::ListEndpointsResponse* response) override;
  grpc::Status ListServices(grpc::ServerContext*, const v1::ListServicesRequest*,
                            v1::ListServicesResponse* response) override;
  grpc::Status PlanChange(grpc::ServerContext* context, const v1::PlanChangeRequest* request,
                          v1::PlanChangeResponse* response) override;
  grpc::Status ListPolicies(grpc::ServerContext*, const v1::ListPoliciesRequest*,
                            v1::ListPoliciesResponse* response) override;
  grpc::Status StreamFlows(grpc::ServerContext* context, const v1::StreamFlowsRequest* request,
                           grpc::ServerWriter<v1::StreamFlowsResponse>* writer) override;
  grpc::Status Explain(grpc::ServerContext* context, const v1::ExplainRequest* request,
                       v1::ExplainResponse* response) override;

 private:
  class FlowStream;

  // Whether nobody waits for the answer any more.
  plan::Cancelled Gone(const grpc::ServerContext& context) const;
  grpc::Status Failed(const absl::Status& status) const;

  const Publisher& publisher_;
  FlowHub& hub_;
  ExplainService explain_;
  PlanDesk desk_;
  std::atomic<bool> ending_{false};
};

}  // namespace bonsai::report
