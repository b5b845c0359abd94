// SPDX-License-Identifier: Apache-2.0
#include "agent/report/status_service.h"

#include <chrono>

#include "agent/base/status.h"
#include "agent/report/to_proto.h"

namespace bonsai::report {
namespace {

// How soon a stream notices that its client left, its deadline passed or the server stops.
constexpr std::chrono::milliseconds kStreamTick{100};

grpc::Status ToGrpc(const absl::Status& status) {
  // gRPC and absl number their codes alike.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), base::Message(status));
}

}  // namespace

#define BONSAI_ANSWER(method, request_type, response_type, convert)                         \
  grpc::Status StatusService::method(grpc::ServerContext*, const v1::request_type*,         \
                                     v1::response_type* response) {                         \
    *response = convert(*publisher_.Current());                                             \
    return grpc::Status::OK;                                                                \
  }
BONSAI_ANSWER(GetStatus, GetStatusRequest, GetStatusResponse, ToStatus)
BONSAI_ANSWER(GetVersion, GetVersionRequest, GetVersionResponse, ToVersion)
BONSAI_ANSWER(ListMaps, ListMapsRequest, ListMapsResponse, ToMaps)
BONSAI_ANSWER(ListPrograms, ListProgramsRequest, ListProgramsResponse, ToPrograms)
BONSAI_ANSWER(ListConstants, ListConstantsRequest, ListConstantsResponse, ToConstants)
BONSAI_ANSWER(GetConfig, GetConfigRequest, GetConfigResponse, ToConfig)
BONSAI_ANSWER(ListEndpoints, ListEndpointsRequest, ListEndpointsResponse, ToEndpoints)
BONSAI_ANSWER(ListServices, ListServicesRequest, ListServicesResponse, ToServices)
BONSAI_ANSWER(ListPolicies, ListPoliciesRequest, ListPoliciesResponse, ToPolicies)
#undef BONSAI_ANSWER

plan::Cancelled StatusService::Gone(const grpc::ServerContext& context) const {
  return [this, &context] { return ending_ || context.IsCancelled(); };
}

grpc::Status StatusService::PlanChange(grpc::ServerContext* context,
                                       const v1::PlanChangeRequest* request,
                                       v1::PlanChangeResponse* response) {
  auto change = desk_.Change(*publisher_.Current(), *request, Gone(*context));
  if (!change.ok()) return Failed(change.status());
  *response = *std::move(change);
  return grpc::Status::OK;
}

grpc::Status StatusService::ListFeatures(grpc::ServerContext* context,
                                         const v1::ListFeaturesRequest*,
                                         v1::ListFeaturesResponse* response) {
  const std::shared_ptr<const Snapshot> snapshot = publisher_.Current();
  const auto costs = desk_.FeatureCosts(*snapshot, Gone(*context));
  if (!costs.ok()) return Failed(costs.status());
  *response = ToFeatures(*snapshot);
  if (*costs) AddCosts(**costs, *response);
  return grpc::Status::OK;
}

// A plan that was given up because the agent stops is no decision of the client's.
grpc::Status StatusService::Failed(const absl::Status& status) const {
  if (ending_ && absl::IsCancelled(status)) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the agent stops");
  }
  return ToGrpc(status);
}

// Writes flows until the client, the limit or the server ends it.
class StatusService::FlowStream {
 public:
  FlowStream(grpc::ServerContext& context, grpc::ServerWriter<v1::StreamFlowsResponse>& writer,
             uint64_t limit)
      : context_(context), writer_(writer), limit_(limit) {}

  // False: the stream is at its end.
  bool Write(const FlowHub::Subscription::Item& item) {
    v1::StreamFlowsResponse response;
    *response.mutable_flow() = ToFlow(*item.flow);
    response.set_lost(item.lost);
    ++written_;
    return writer_.Write(response) && !AtLimit();
  }
  bool AtLimit() const { return limit_ != 0 && written_ >= limit_; }
  bool Open() const { return !context_.IsCancelled(); }

 private:
  grpc::ServerContext& context_;
  grpc::ServerWriter<v1::StreamFlowsResponse>& writer_;
  const uint64_t limit_;
  uint64_t written_ = 0;
};

grpc::Status StatusService::StreamFlows(grpc::ServerContext* context,
                                        const v1::StreamFlowsRequest* request,
                                        grpc::ServerWriter<v1::StreamFlowsResponse>* writer) {
  auto filter = ToFilter(*request);
  if (!filter.ok()) return ToGrpc(filter.status());
  auto subscription = hub_.Subscribe(std::move(filter).value(), request->last());
  if (!subscription.ok()) return ToGrpc(subscription.status());
  // The client learns at once that it is served, even before the first flow.
  writer->SendInitialMetadata();
  FlowStream stream(*context, *writer, request->limit());
  for (const FlowHub::FlowPtr& flow : (*subscription)->backlog()) {
    if (!stream.Write({.flow = flow})) return grpc::Status::OK;
  }
  while (request->follow() && stream.Open()) {
    if (ending_) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the agent stops");
    const auto item = (*subscription)->Next(kStreamTick);
    if (item.flow && !stream.Write(item)) break;
  }
  return grpc::Status::OK;
}

grpc::Status StatusService::Explain(grpc::ServerContext* context,
                                    const v1::ExplainRequest* request,
                                    v1::ExplainResponse* response) {
  auto answer = explain_.Answer(*request, *publisher_.Current(), Gone(*context));
  if (!answer.ok()) return Failed(answer.status());
  *response = *std::move(answer);
  return grpc::Status::OK;
}

}  // namespace bonsai::report
