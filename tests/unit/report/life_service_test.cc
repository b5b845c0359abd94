// SPDX-License-Identifier: Apache-2.0
// bonsai.v1.Life over a real socket; a thread stands in for the reconciler.
#include "agent/report/life_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>

#include "agent/report/grpc_server.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::HasSubstr;

class LifeServiceTest : public ::testing::Test {
 protected:
  LifeServiceTest() : desk_([this] { ++posted_; }) {
    auto server = GrpcServer::Start({.socket_path = directory_.path() + "/agent.sock"}, publisher_,
                                    hub_, &desk_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::Life::NewStub(grpc::CreateChannel("unix:" + directory_.path() + "/agent.sock",
                                                  grpc::InsecureChannelCredentials()));
  }

  grpc::Status Get() {
    grpc::ClientContext context;
    v1::GetBoardResponse response;
    return stub_->GetBoard(&context, {}, &response);
  }
  grpc::Status Seed(const v1::SeedBoardRequest& request) {
    grpc::ClientContext context;
    v1::SeedBoardResponse response;
    return stub_->SeedBoard(&context, request, &response);
  }
  grpc::Status Control(const v1::ControlBoardRequest& request) {
    grpc::ClientContext context;
    v1::ControlBoardResponse response;
    return stub_->ControlBoard(&context, request, &response);
  }

  std::atomic<int> posted_{0};
  testing::TemporaryDirectory directory_;
  Publisher publisher_;
  FlowHub hub_;
  LifeDesk desk_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::Life::Stub> stub_;
};

TEST_F(LifeServiceTest, SaysWhyThereIsNoBoard) {
  EXPECT_EQ(Get().error_code(), grpc::StatusCode::UNAVAILABLE);
  desk_.Offer(nullptr, absl::FailedPreconditionError("it is off"));
  const grpc::Status off = Get();
  EXPECT_EQ(off.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(off.error_message(), "it is off");
  v1::ControlBoardRequest pause;
  pause.set_pause(true);
  EXPECT_EQ(Control(pause).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  grpc::ClientContext context;
  auto stream = stub_->WatchBoard(&context, {});
  v1::WatchBoardResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(posted_, 0);
}

TEST_F(LifeServiceTest, RefusesWhatCannotBeBeforeAnybodyIsAsked) {
  v1::SeedBoardRequest seed;
  EXPECT_EQ(Seed(seed).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  seed.set_name("unicorn");
  EXPECT_THAT(Seed(seed).error_message(), HasSubstr("unicorn"));
  seed.set_rle("x = 3, y = 3\nbo$2bX!");
  const grpc::Status refused = Seed(seed);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("line 2, column 6"));
  seed.set_rle(std::string((1 << 20) + 1, '#'));
  EXPECT_EQ(Seed(seed).error_code(), grpc::StatusCode::INVALID_ARGUMENT);

  std::vector<v1::ControlBoardRequest> wrong(7);
  wrong[1].set_pause(false);
  wrong[2].set_step(0);
  wrong[3].set_step(1'000'001);
  wrong[4].set_interval_seconds(-1);
  wrong[5].set_interval_seconds(std::numeric_limits<double>::quiet_NaN());
  wrong[6].set_interval_seconds(3601);
  for (const auto& request : wrong) {
    EXPECT_EQ(Control(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << request.ShortDebugString();
  }
  EXPECT_EQ(posted_, 0);
}

TEST(LifeDesk, GivesUpWithThoseWhoNoLongerWait) {
  LifeDesk desk([] {});
  EXPECT_EQ(desk.Do(LifePause(), [] { return true; }).status().code(),
            absl::StatusCode::kUnavailable) << "there is no board";
  EXPECT_TRUE(desk.TakeRequests().empty());
  const uint64_t told = desk.WaitForNews(0, std::chrono::milliseconds(1));
  desk.TellNews();
  EXPECT_EQ(desk.WaitForNews(told, std::chrono::seconds(10)), told + 1);
}

TEST(ToLifeState, SpeaksInSeconds) {
  const v1::LifeState state = ToLifeState({.seeds = 4, .generation = 9, .population = 5,
                                           .run_until = 9, .interval_ns = 250'000'000,
                                           .width = 3, .height = 2, .last_ns = 1000});
  EXPECT_TRUE(state.paused());
  EXPECT_EQ(state.interval_seconds(), 0.25);
  EXPECT_EQ(state.last_cpu_seconds(), 1e-6);
  EXPECT_EQ(state.seeds(), 2u);
}

}  // namespace
}  // namespace bonsai::report
