// SPDX-License-Identifier: Apache-2.0
#include "agent/report/grpc_server.h"

#include <grp.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "agent/base/status.h"
#include "agent/report/life_service.h"
#include "agent/report/socket_guard.h"
#include "agent/report/status_service.h"

namespace bonsai::report {
namespace {

constexpr mode_t kSocketMode = 0660;
// Requests are a few words, but a plan may be asked for a whole ConfigMap: 1 MiB at most.
constexpr int kMaxRequestBytes = (1 << 20) + 64 * 1024;
constexpr std::chrono::milliseconds kStopGrace{500};

absl::StatusOr<std::optional<gid_t>> FindGroup(const std::string& name) {
  if (name.empty()) return std::optional<gid_t>();
  std::vector<char> buffer(16 * 1024);
  group entry{};
  group* found = nullptr;
  ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found) return std::optional<gid_t>(found->gr_gid);
  return base::InvalidArgument("giving the socket to group \"{}\": there is no such group", name);
}

bool IsServing(Health health) {
  return health == Health::kHealthy || health == Health::kDegraded;
}

void SetServing(grpc::HealthCheckServiceInterface* health, const Snapshot& snapshot) {
  const bool serving = IsServing(snapshot.health);
  health->SetServingStatus("", serving);
  health->SetServingStatus(std::string(v1::Agent::service_full_name()), serving);
}

void Configure(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetMaxSendMessageSize(-1);  // lists are as long as the node's
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
}

}  // namespace

struct GrpcServer::State {
  State(SocketGuard socket, const Publisher& publisher, FlowHub& hub, LifeDesk* desk)
      : guard(std::move(socket)), service(publisher, hub) {
    if (desk != nullptr) life.emplace(*desk);
  }

  std::optional<SocketGuard> guard;  // dies after the server that listens there
  StatusService service;
  std::optional<LifeService> life;
  std::unique_ptr<grpc::Server> server;
  std::jthread health;
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcOptions& options,
                                                              const Publisher& publisher,
                                                              FlowHub& hub, LifeDesk* life) {
  ASSIGN_OR_RETURN(std::optional<gid_t> group, FindGroup(options.group));
  ASSIGN_OR_RETURN(SocketGuard guard, SocketGuard::Acquire(options.socket_path));
  const std::string target = "unix:" + guard.bind_path();
  auto state = std::make_unique<State>(std::move(guard), publisher, hub, life);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  Configure(builder);
  builder.AddListeningPort(target, grpc::InsecureServerCredentials());
  builder.RegisterService(&state->service);
  if (state->life) builder.RegisterService(&*state->life);
  state->server = builder.BuildAndStart();
  if (!state->server) {
    return base::FailedPrecondition(
        "serving on {}: gRPC cannot listen there; see that the directory can be written",
        options.socket_path);
  }
  SetServing(state->server->GetHealthCheckService(), *publisher.Current());
  RETURN_IF_ERROR(state->guard->Publish(kSocketMode, group));
  state->health = std::jthread(
      [&publisher, health = state->server->GetHealthCheckService()](std::stop_token stop) {
        std::shared_ptr<const Snapshot> seen;
        while (!stop.stop_requested()) {
          seen = publisher.WaitForOther(seen, stop);
          if (!stop.stop_requested()) SetServing(health, *seen);
        }
      });
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(state)));
}

GrpcServer::GrpcServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

GrpcServer::~GrpcServer() { Stop(); }

void GrpcServer::Stop() {
  if (!state_->guard) return;
  state_->health = {};  // requests its stop and joins it
  state_->service.EndStreams();
  if (state_->life) state_->life->EndStreams();
  state_->server->GetHealthCheckService()->Shutdown();
  state_->server->Shutdown(std::chrono::system_clock::now() + kStopGrace);
  state_->server->Wait();
  state_->guard.reset();
}

}  // namespace bonsai::report
