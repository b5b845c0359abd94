// SPDX-License-Identifier: Apache-2.0
#include "agent/report/grpc_server.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "agent/base/status.h"
#include "agent/base/unique_fd.h"
#include "agent/report/flow_decode.h"
#include "agent/report/to_proto.h"
#include "bonsai/v1/agent.grpc.pb.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::HasSubstr;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class GrpcServerTest : public ::testing::Test {
 protected:
  GrpcServerTest() { publisher_.Publish(testing::SampleSnapshot()); }

  std::string socket() const { return directory_.path() + "/run/agent.sock"; }
  void Start() {
    auto server = GrpcServer::Start({.socket_path = socket()}, publisher_, hub_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel("unix:" + socket(), grpc::InsecureChannelCredentials());
    stub_ = v1::Agent::NewStub(channel_);
  }
  void PushFlow(bool drop) {
    flow_event event = testing::SampleEvent();
    if (!drop) event.reason = REASON_FORWARDED;
    hub_.Push(*FlowDecoder(publisher_).Decode(EventSource::kFlows, &event, sizeof(event)));
  }

  testing::TemporaryDirectory directory_;
  Publisher publisher_;
  FlowHub hub_;
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Agent::Stub> stub_;
};

// Calls any method with raw bytes: no stubs of the standard services are shipped everywhere.
grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     const std::string& request, std::string& response) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  wait();
  grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  wait();
  grpc::ByteBuffer buffer;
  call->Read(&buffer, nullptr);
  if (wait()) {
    std::vector<grpc::Slice> slices;
    (void)buffer.Dump(&slices);
    for (const grpc::Slice& part : slices) response.append(part.begin(), part.end());
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  queue.Shutdown();
  return status;
}

// HealthCheckResponse.status as the wire has it: 1 serving, 2 not serving.
int HealthOf(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  std::string response;
  const std::string request =
      service.empty() ? "" : "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
  const auto status = RawCall(channel, "/grpc.health.v1.Health/Check", request, response);
  return status.ok() && response.size() == 2 ? response[1] : -1;
}

TEST_F(GrpcServerTest, AnswersEveryListFromTheSnapshot) {
  Start();
  const auto snapshot = publisher_.Current();
#define EXPECT_ANSWER(method, convert)                                                           \
  {                                                                                              \
    grpc::ClientContext context;                                                                 \
    v1::method##Response response;                                                               \
    const auto status = stub_->method(&context, v1::method##Request(), &response);               \
    EXPECT_TRUE(status.ok()) << #method << ": " << status.error_message();                       \
    EXPECT_GT(response.ByteSizeLong(), 0u) << #method;                                           \
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(response, convert(*snapshot))) \
        << #method;                                                                              \
  }
  EXPECT_ANSWER(GetStatus, ToStatus)
  EXPECT_ANSWER(GetVersion, ToVersion)
  EXPECT_ANSWER(ListFeatures, ToFeatures)
  EXPECT_ANSWER(ListMaps, ToMaps)
  EXPECT_ANSWER(ListPrograms, ToPrograms)
  EXPECT_ANSWER(ListConstants, ToConstants)
  EXPECT_ANSWER(GetConfig, ToConfig)
  EXPECT_ANSWER(ListEndpoints, ToEndpoints)
  EXPECT_ANSWER(ListServices, ToServices)
  EXPECT_ANSWER(ListPolicies, ToPolicies)
#undef EXPECT_ANSWER
}

TEST_F(GrpcServerTest, StatusSaysWhatIsLoadedAndSaved) {
  const v1::GetStatusResponse status = ToStatus(*publisher_.Current());
  EXPECT_EQ(status.health(), v1::HEALTH_HEALTHY);
  EXPECT_EQ(status.datapath().entry_programs_loaded(), 1u);
  EXPECT_EQ(status.datapath().tail_calls_loaded(), 1u);
  EXPECT_EQ(status.datapath().tail_calls_total(), 2u);
  EXPECT_EQ(status.datapath().neutralised_functions(), 1u);
  EXPECT_EQ(status.datapath().load_retries(), 1u);
  EXPECT_EQ(status.datapath().live_instructions(), 1340u);
  EXPECT_EQ(status.datapath().total_instructions(), 3750u);
  EXPECT_EQ(status.datapath().devices(), 2u);
  EXPECT_EQ(status.memory().maps_created(), 4u);
  EXPECT_EQ(status.memory().maps_total(), 6u);
  EXPECT_EQ(status.memory().saved_bytes(), 20975616u);
  EXPECT_EQ(status.services(), 2u);
  EXPECT_EQ(status.pressure(0).map(), "ct4");
  EXPECT_EQ(status.traffic().dropped_packets(), 17u);
  EXPECT_EQ(status.traffic().reasons_size(), 2);
  EXPECT_FALSE(status.configuration().has_drift_since());
}

TEST_F(GrpcServerTest, EmptySnapshotIsAnsweredToo) {
  publisher_.Publish(Snapshot());
  Start();
  grpc::ClientContext context;
  v1::GetStatusResponse status;
  ASSERT_TRUE(stub_->GetStatus(&context, {}, &status).ok());
  EXPECT_EQ(status.health(), v1::HEALTH_STARTING);
  EXPECT_FALSE(status.has_started());
  EXPECT_EQ(ToMaps(Snapshot()).maps_size(), 0);
  EXPECT_EQ(ToConfig(Snapshot()).settings_size(), 0);
}

TEST_F(GrpcServerTest, HealthFollowsTheSnapshot) {
  Start();
  EXPECT_EQ(HealthOf(channel_, ""), 1);
  EXPECT_EQ(HealthOf(channel_, "bonsai.v1.Agent"), 1);
  Snapshot unhealthy = testing::SampleSnapshot();
  unhealthy.health = Health::kUnhealthy;
  publisher_.Publish(std::move(unhealthy));
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (HealthOf(channel_, "") != 2 && Clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(HealthOf(channel_, ""), 2);
  EXPECT_EQ(HealthOf(channel_, "bonsai.v1.Agent"), 2);
}

TEST_F(GrpcServerTest, ReflectionListsTheServices) {
  Start();
  std::string response;
  const auto status =
      RawCall(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              std::string("\x3a\x01*"), response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response, HasSubstr("bonsai.v1.Agent"));
  EXPECT_THAT(response, HasSubstr("grpc.health.v1.Health"));
}

TEST_F(GrpcServerTest, StreamGivesKeptFlowsThenNewOnes) {
  PushFlow(false);
  PushFlow(true);
  Start();
  grpc::ClientContext context;
  v1::StreamFlowsRequest request;
  request.set_last(10);
  request.set_follow(true);
  request.set_limit(3);
  auto reader = stub_->StreamFlows(&context, request);
  v1::StreamFlowsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.flow().reason(), "forwarded");
  EXPECT_EQ(response.flow().source().pod(), "default/client");
  EXPECT_EQ(response.flow().destination().service(), "default/web:http");
  EXPECT_EQ(response.flow().backend().address(), "10.0.1.3");
  EXPECT_EQ(response.flow().tcp_flags(), "SYN,ACK");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.flow().kind(), v1::FLOW_KIND_DROP);
  PushFlow(true);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(GrpcServerTest, StreamEndsAfterTheKeptFlowsUnlessAskedToFollow) {
  PushFlow(false);
  PushFlow(true);
  Start();
  grpc::ClientContext context;
  v1::StreamFlowsRequest request;
  request.set_last(10);
  request.set_drops_only(true);
  request.set_address("10.0.0.0/8");
  auto reader = stub_->StreamFlows(&context, request);
  v1::StreamFlowsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.flow().policy(), "default/client");
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(GrpcServerTest, StreamRefusesAFilterThatIsNoAddress) {
  Start();
  grpc::ClientContext context;
  v1::StreamFlowsRequest request;
  request.set_address("10.0.0.300");
  auto reader = stub_->StreamFlows(&context, request);
  v1::StreamFlowsResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("10.0.0.300"));
}

TEST_F(GrpcServerTest, StreamHonoursItsDeadline) {
  Start();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(300));
  v1::StreamFlowsRequest request;
  request.set_follow(true);
  auto reader = stub_->StreamFlows(&context, request);
  v1::StreamFlowsResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(GrpcServerTest, StopsPromptlyWithAnOpenStreamAndRemovesTheSocket) {
  Start();
  grpc::ClientContext context;
  v1::StreamFlowsRequest request;
  request.set_follow(true);
  auto reader = stub_->StreamFlows(&context, request);
  reader->WaitForInitialMetadata();
  const auto before = Clock::now();
  server_->Stop();
  EXPECT_LT(Clock::now() - before, std::chrono::seconds(2));
  v1::StreamFlowsResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(::access(socket().c_str(), F_OK), 0);
}

TEST_F(GrpcServerTest, SocketIsForOwnerAndGroupOnly) {
  Start();
  struct stat info {};
  ASSERT_EQ(::stat(socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
}

TEST_F(GrpcServerTest, SecondServerIsRefusedAndTheFirstServesOn) {
  Start();
  auto second = GrpcServer::Start({.socket_path = socket()}, publisher_, hub_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message = base::Message(second.status());
  EXPECT_THAT(message, HasSubstr(socket()));
  EXPECT_THAT(message, HasSubstr("live agent (pid " + std::to_string(::getpid()) + ")"));
  grpc::ClientContext context;
  v1::GetVersionResponse version;
  EXPECT_TRUE(stub_->GetVersion(&context, {}, &version).ok());
  server_->Stop();
  EXPECT_TRUE(GrpcServer::Start({.socket_path = socket()}, publisher_, hub_).ok());
}

// Binds a socket at `path`, listening or left behind as by a killed agent.
base::UniqueFd BindForeign(const std::string& path, bool listening) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX};
  std::strcpy(address.sun_path, path.c_str());
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  if (listening) {
    EXPECT_EQ(::listen(fd.get(), 1), 0);
  }
  return fd;
}

TEST_F(GrpcServerTest, TakesOverAStaleSocket) {
  ASSERT_EQ(::mkdir((directory_.path() + "/run").c_str(), 0755), 0);
  BindForeign(socket(), false).reset();
  ASSERT_EQ(::access(socket().c_str(), F_OK), 0);
  Start();
  grpc::ClientContext context;
  v1::GetVersionResponse version;
  EXPECT_TRUE(stub_->GetVersion(&context, {}, &version).ok());
}

TEST_F(GrpcServerTest, LeavesAServerWithoutALockAlone) {
  ASSERT_EQ(::mkdir((directory_.path() + "/run").c_str(), 0755), 0);
  const base::UniqueFd foreign = BindForeign(socket(), true);
  auto server = GrpcServer::Start({.socket_path = socket()}, publisher_, hub_);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(::access(socket().c_str(), F_OK), 0);
}

TEST_F(GrpcServerTest, LeavesAFileThatIsNoSocketAlone) {
  ASSERT_EQ(::mkdir((directory_.path() + "/run").c_str(), 0755), 0);
  std::ofstream(socket()) << "precious";
  auto server = GrpcServer::Start({.socket_path = socket()}, publisher_, hub_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  std::string kept;
  std::ifstream(socket()) >> kept;
  EXPECT_EQ(kept, "precious");
}

TEST_F(GrpcServerTest, RefusesPathsAndGroupsThatCannotBe) {
  for (const std::string& path : {std::string("relative.sock"), std::string(""), std::string("/"),
                                  "/tmp/" + std::string(200, 'x'), std::string("/tmp/a b")}) {
    auto server = GrpcServer::Start({.socket_path = path}, publisher_, hub_);
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
  auto server = GrpcServer::Start({.socket_path = socket(), .group = "no-such-group"}, publisher_, hub_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::Message(server.status()), HasSubstr("no-such-group"));
}

}  // namespace
}  // namespace bonsai::report
