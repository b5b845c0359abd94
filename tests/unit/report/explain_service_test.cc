// SPDX-License-Identifier: Apache-2.0
// Explain as the agent serves it, over the shipped objects.
#include "agent/report/explain_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "agent/base/status.h"
#include "agent/report/grpc_server.h"
#include "bonsai/v1/agent.grpc.pb.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::HasSubstr;

v1::ExplainRequest Request(v1::ExplainKind kind, const std::string& name) {
  v1::ExplainRequest request;
  request.set_kind(kind);
  request.set_name(name);
  return request;
}

// A node on which the defaults are in force, with one map and one program as the kernel has them.
Snapshot InForce(const settings::RawSettings& raw = {}) {
  Snapshot snapshot;
  auto inputs = plan::ReadInputs(BONSAI_BPF_DIR);
  EXPECT_TRUE(inputs.ok()) << inputs.status();
  snapshot.inputs = std::make_shared<const plan::Inputs>(*std::move(inputs));
  snapshot.schema = snapshot.inputs->schema;
  auto settings = settings::Parse(*snapshot.schema, raw);
  EXPECT_TRUE(settings.ok()) << settings.status();
  snapshot.settings = std::make_shared<const settings::Settings>(*std::move(settings));
  auto plan = plan::MakeFor(*snapshot.inputs, *snapshot.settings, plan::Reasons::kExplained, nullptr);
  EXPECT_TRUE(plan.ok()) << plan.status();
  snapshot.plan = std::make_shared<const plan::LoadPlan>(*std::move(plan));
  snapshot.maps["ct4"] = {.id = 7, .bytes = 12345};
  snapshot.programs["from_pod/from_pod"] = {.id = 8, .jited_bytes = 6000, .translated_insns = 1000};
  return snapshot;
}

TEST(ExplainService, SaysWhatTheKernelMeasuredOfWhatExists) {
  ExplainService service;
  const Snapshot snapshot = InForce();
  auto map = service.Answer(Request(v1::EXPLAIN_KIND_MAP, "ct4"), snapshot, nullptr);
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(map->thing().state(), v1::LOAD_STATE_LOADED);
  EXPECT_EQ(map->thing().bytes(), 12345u);
  EXPECT_FALSE(map->thing().kept_for_verifier());
  auto program = service.Answer(Request(v1::EXPLAIN_KIND_PROGRAM, "from_pod"), snapshot, nullptr);
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_EQ(program->thing().bytes(), 6000u);
}

TEST(ExplainService, MapsConstantsBackToTheirSettings) {
  ExplainService service;
  const auto answer =
      service.Answer(Request(v1::EXPLAIN_KIND_MAP, "policy"), InForce(), nullptr);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->thing().state(), v1::LOAD_STATE_PRUNED);
  ASSERT_GT(answer->thing().objects_size(), 0);
  ASSERT_GT(answer->thing().objects(0).deciding_size(), 0);
  const v1::ExplainDeciding& first = answer->thing().objects(0).deciding(0);
  EXPECT_EQ(first.kind(), v1::EXPLAIN_DECIDING_KIND_BRANCH);
  ASSERT_EQ(first.constants_size(), 1);
  EXPECT_EQ(first.constants(0).name(), "enable_policy");
  EXPECT_EQ(first.constants(0).setting(), "enable-policy");
  EXPECT_EQ(first.constants(0).value(), "false");
  EXPECT_THAT(first.place().file(), HasSubstr("from_pod.bpf.c"));
  EXPECT_GT(first.place().line(), 0u);
}

TEST(ExplainService, SaysWhatAVerifierKept) {
  ExplainService service;
  Snapshot snapshot = InForce();
  snapshot.maps["policy"] = {.id = 9, .bytes = 777};  // the plan would not have made it
  const auto answer = service.Answer(Request(v1::EXPLAIN_KIND_MAP, "policy"), snapshot, nullptr);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->thing().state(), v1::LOAD_STATE_LOADED);
  EXPECT_TRUE(answer->thing().kept_for_verifier());
  EXPECT_EQ(answer->thing().bytes(), 777u);
}

TEST(ExplainService, ListsTheNamesOfAKind) {
  ExplainService service;
  const Snapshot snapshot = InForce();
  const auto names = service.Answer(Request(v1::EXPLAIN_KIND_SETTING, ""), snapshot, nullptr);
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(static_cast<size_t>(names->names_size()), snapshot.schema->specs().size());
  EXPECT_FALSE(names->has_setting());
}

TEST(ExplainService, RefusesWhatCannotBeAnswered) {
  ExplainService service;
  const Snapshot snapshot = InForce();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      service.Answer(Request(v1::EXPLAIN_KIND_MAP, "ct4"), Snapshot(), nullptr).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      service.Answer(Request(v1::EXPLAIN_KIND_UNSPECIFIED, "ct4"), snapshot, nullptr).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      service.Answer(Request(static_cast<v1::ExplainKind>(99), ""), snapshot, nullptr).status()));
  const auto unknown = service.Answer(Request(v1::EXPLAIN_KIND_MAP, "ct5"), snapshot, nullptr);
  EXPECT_TRUE(absl::IsNotFound(unknown.status()));
  EXPECT_THAT(base::Message(unknown.status()), HasSubstr("the nearest is ct4"));
  EXPECT_TRUE(absl::IsCancelled(
      service.Answer(Request(v1::EXPLAIN_KIND_MAP, "ct4"), snapshot, [] { return true; }).status()));
}

TEST(ExplainService, WorksOutOnlySoManyAtOnce) {
  ExplainService service;
  const Snapshot snapshot = InForce();
  std::barrier all_in(ExplainService::kMostAtOnce + 1), may_go(ExplainService::kMostAtOnce + 1);
  std::vector<std::jthread> askers;
  for (int i = 0; i < ExplainService::kMostAtOnce; ++i) {
    askers.emplace_back([&] {
      bool first = true;
      const auto answer = service.Answer(Request(v1::EXPLAIN_KIND_MAP, "ct4"), snapshot, [&] {
        if (std::exchange(first, false)) {
          all_in.arrive_and_wait();
          may_go.arrive_and_wait();
        }
        return false;
      });
      EXPECT_TRUE(answer.ok()) << answer.status();
    });
  }
  all_in.arrive_and_wait();
  const auto refused = service.Answer(Request(v1::EXPLAIN_KIND_MAP, "ct4"), snapshot, nullptr);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  may_go.arrive_and_wait();
  askers.clear();
  EXPECT_TRUE(service.Answer(Request(v1::EXPLAIN_KIND_MAP, "ct4"), snapshot, nullptr).ok());
}

TEST(ExplainService, EndsByTheCallersDeadlineOverTheSocket) {
  testing::TemporaryDirectory directory;
  Publisher publisher;
  FlowHub hub;
  publisher.Publish(InForce());
  const std::string socket = directory.path() + "/agent.sock";
  auto server = GrpcServer::Start({.socket_path = socket}, publisher, hub);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = v1::Agent::NewStub(
      grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  const auto ask = [&](std::chrono::milliseconds time, const v1::ExplainRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + time);
    v1::ExplainResponse response;
    return stub->Explain(&context, request, &response).error_code();
  };
  const v1::ExplainRequest map = Request(v1::EXPLAIN_KIND_MAP, "ct4");
  EXPECT_EQ(ask(std::chrono::milliseconds(0), map), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(ask(std::chrono::seconds(60), map), grpc::StatusCode::OK);
  EXPECT_EQ(ask(std::chrono::seconds(60), Request(v1::EXPLAIN_KIND_MAP, "\x1b[2J")),
            grpc::StatusCode::NOT_FOUND);
  // Requests are a few words; what is larger is not even read.
  EXPECT_EQ(ask(std::chrono::seconds(60), Request(v1::EXPLAIN_KIND_MAP, std::string(4 << 20, 'x'))),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace bonsai::report
