// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/client.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "agent/base/status.h"
#include "agent/base/unique_fd.h"
#include "bonsai/v1/agent.grpc.pb.h"
#include "bonsai/v1/life.grpc.pb.h"

namespace bonsai::cli {
namespace {

constexpr int kMaxAnswerBytes = 64 * 1024 * 1024;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& socket_path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  // A unix socket never goes through a proxy, whatever the environment says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(),
                                   arguments);
}

void SetDeadline(grpc::ClientContext& context, Client::Timeout timeout) {
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(timeout));
}

const char* Advice(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "is bonsai-agent running? --socket or BONSAI_SOCKET names another socket";
    case ECONNREFUSED:
      return "the agent that made it is gone; start bonsai-agent";
    case EACCES:
    case EPERM:
      return "become root or a member of the socket's group";
    default:
      return "see that this is the agent's socket";
  }
}

}  // namespace

struct Client::State {
  explicit State(const std::string& socket_path)
      : channel(MakeChannel(socket_path)),
        stub(v1::Agent::NewStub(channel)),
        life(v1::Life::NewStub(channel)) {}
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::Agent::Stub> stub;
  const std::unique_ptr<v1::Life::Stub> life;
};

Client::Client(std::string socket_path) : socket_path_(std::move(socket_path)) {}

Client::~Client() = default;

// gRPC's own words for a socket that cannot be reached help nobody: the reason is looked up first.
absl::Status Client::CheckSocket() const {
  sockaddr_un address{.sun_family = AF_UNIX};
  if (socket_path_.size() >= sizeof(address.sun_path)) {
    return base::InvalidArgument("reaching the agent at {}: the path is too long for a socket",
                                 socket_path_);
  }
  std::memcpy(address.sun_path, socket_path_.c_str(), socket_path_.size() + 1);
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(fd.get(), generic, sizeof(address)) == 0 || errno == EAGAIN) {
    return absl::OkStatus();
  }
  const int error_number = errno;
  return base::Unavailable("reaching the agent at {}: {}; {}", socket_path_,
                           std::generic_category().message(error_number), Advice(error_number));
}

absl::Status Client::Connect() {
  RETURN_IF_ERROR(CheckSocket());
  if (!state_) state_ = std::make_unique<State>(socket_path_);
  return absl::OkStatus();
}

namespace {

absl::Status FromGrpc(const grpc::Status& status, const std::string& socket_path) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (code == absl::StatusCode::kUnimplemented) {
    return base::MakeStatus(code, "asking the agent at {}: it does not know this request; "
                            "agent and agentctl are of different versions", socket_path);
  }
  if (code == absl::StatusCode::kDeadlineExceeded) {
    return base::MakeStatus(code, "asking the agent at {}: no answer in time; see --timeout",
                            socket_path);
  }
  return base::MakeStatus(code, "asking the agent at {}: {}", socket_path, status.error_message());
}

}  // namespace

#define BONSAI_GET(method)                                                                     \
  template <>                                                                                  \
  absl::StatusOr<v1::method##Response> Client::Get<v1::method##Response>(Timeout timeout) {    \
    RETURN_IF_ERROR(Connect());                                                                \
    grpc::ClientContext context;                                                               \
    SetDeadline(context, timeout);                                                             \
    v1::method##Response response;                                                             \
    const grpc::Status status = state_->stub->method(&context, v1::method##Request(), &response); \
    RETURN_IF_ERROR(FromGrpc(status, socket_path_));                                           \
    return response;                                                                           \
  }
BONSAI_GET(GetStatus)
BONSAI_GET(GetVersion)
BONSAI_GET(ListFeatures)
BONSAI_GET(ListMaps)
BONSAI_GET(ListPrograms)
BONSAI_GET(ListConstants)
BONSAI_GET(GetConfig)
BONSAI_GET(ListEndpoints)
BONSAI_GET(ListServices)
BONSAI_GET(ListPolicies)
#undef BONSAI_GET

absl::StatusOr<v1::ExplainResponse> Client::Explain(const v1::ExplainRequest& request,
                                                    Timeout timeout) {
  RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  v1::ExplainResponse response;
  RETURN_IF_ERROR(FromGrpc(state_->stub->Explain(&context, request, &response), socket_path_));
  return response;
}

absl::StatusOr<v1::PlanChangeResponse> Client::PlanChange(const v1::PlanChangeRequest& request,
                                                          Timeout timeout) {
  RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  v1::PlanChangeResponse response;
  RETURN_IF_ERROR(FromGrpc(state_->stub->PlanChange(&context, request, &response), socket_path_));
  return response;
}

absl::StatusOr<v1::LifeBoard> Client::GetBoard(Timeout timeout) {
  RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  v1::GetBoardResponse response;
  RETURN_IF_ERROR(FromGrpc(
      state_->life->GetBoard(&context, v1::GetBoardRequest(), &response), socket_path_));
  return std::move(*response.mutable_board());
}

absl::StatusOr<v1::LifeState> Client::SeedBoard(const v1::SeedBoardRequest& request,
                                                Timeout timeout) {
  RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  v1::SeedBoardResponse response;
  RETURN_IF_ERROR(FromGrpc(state_->life->SeedBoard(&context, request, &response), socket_path_));
  return std::move(*response.mutable_state());
}

absl::StatusOr<v1::LifeState> Client::ControlBoard(const v1::ControlBoardRequest& request,
                                                   std::optional<Timeout> timeout) {
  RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  if (timeout) SetDeadline(context, *timeout);
  v1::ControlBoardResponse response;
  RETURN_IF_ERROR(FromGrpc(state_->life->ControlBoard(&context, request, &response), socket_path_));
  return std::move(*response.mutable_state());
}

absl::Status Client::WatchBoard(double interval_seconds, std::stop_token stop,
                                const std::function<void(const v1::LifeBoard&)>& receive) {
  RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  v1::WatchBoardRequest request;
  request.set_interval_seconds(interval_seconds);
  auto reader = state_->life->WatchBoard(&context, request);
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  v1::WatchBoardResponse response;
  while (reader->Read(&response)) receive(response.board());
  const grpc::Status status = reader->Finish();
  return stop.stop_requested() ? absl::OkStatus() : FromGrpc(status, socket_path_);
}

absl::Status Client::StreamFlows(
    const v1::StreamFlowsRequest& request, std::optional<Timeout> timeout,
    const std::function<void(const v1::StreamFlowsResponse&)>& receive) {
  RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  if (timeout) SetDeadline(context, *timeout);
  auto reader = state_->stub->StreamFlows(&context, request);
  v1::StreamFlowsResponse response;
  while (reader->Read(&response)) receive(response);
  const grpc::Status status = reader->Finish();
  const bool timed_out = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  return timed_out && request.follow() ? absl::OkStatus() : FromGrpc(status, socket_path_);
}

}  // namespace bonsai::cli
