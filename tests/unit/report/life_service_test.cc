// SPDX-License-Identifier: Apache-2.0
// bonsai.v1.Life over a real socket; a thread stands in for the reconciler.
#include "agent/report/life_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <stop_token>
#include <thread>

#include "agent/report/grpc_server.h"
#include "agent/report/life_feed.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kSide = 8;

kernel::BpfMap SmallMap(uint32_t value_size, uint32_t entries) {
  auto map = kernel::BpfMap::Create({.type = BPF_MAP_TYPE_ARRAY, .key_size = 4,
                                     .value_size = value_size, .max_entries = entries,
                                     .name = "life_service"});
  EXPECT_TRUE(map.ok()) << map.status();
  return *std::move(map);
}

void Put(const tables::LifeMaps& maps, const life_state& state) {
  const uint32_t zero = 0;
  EXPECT_TRUE(maps.state.Update(&zero, &state).ok());
}

// A board that stands still. Needs root.
std::shared_ptr<const tables::LifeMaps> SmallMaps() {
  auto maps = std::make_shared<const tables::LifeMaps>(
      tables::LifeMaps{SmallMap(sizeof(life_row), kSide), SmallMap(sizeof(life_row), kSide),
                       SmallMap(sizeof(life_state), 1)});
  Put(*maps, {.width = kSide, .height = kSide});
  return maps;
}

constexpr char kNeedsRoot[] = "SKIPPED: making maps needs root";

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

  // What nobody refuses before is then asked of the reconciler, of which there is none.
  void OfferMaps() {
    maps_ = SmallMaps();
    desk_.Offer(maps_, absl::OkStatus());
  }
  // The one step that is asked for is begun; what the board does then is `state`.
  grpc::Status StepWhile(const life_state& begun, const life_state& then) {
    Put(*maps_, begun);
    v1::ControlBoardRequest step;
    step.set_step(5);
    std::jthread reconciler([&](const std::stop_token& stop) {
      std::vector<LifeDesk::Request> requests;
      while (requests.empty() && !stop.stop_requested()) requests = desk_.TakeRequests();
      for (LifeDesk::Request& request : requests) {
        request.answer.set_value(tables::LifeView{.state = begun, .grid = {}});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      Put(*maps_, then);
      desk_.TellNews();
    });
    return Control(step);
  }

  std::atomic<int> posted_{0};
  std::shared_ptr<const tables::LifeMaps> maps_;
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
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  OfferMaps();
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

TEST_F(LifeServiceTest, AStepEndsWithItsLastGeneration) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  OfferMaps();
  const life_state begun = {.seeds = 2, .generation = 10, .run_until = 15};
  const grpc::Status done = StepWhile(begun, {.seeds = 2, .generation = 15, .run_until = 15});
  EXPECT_TRUE(done.ok()) << done.error_message();
  EXPECT_EQ(posted_, 1);
}

TEST_F(LifeServiceTest, AStepThatSomebodyBreaksOffIsAborted) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  OfferMaps();
  const life_state begun = {.seeds = 2, .generation = 10, .run_until = 15};
  const grpc::Status paused = StepWhile(begun, {.seeds = 2, .generation = 12, .run_until = 12});
  EXPECT_EQ(paused.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(paused.error_message(), HasSubstr("paused the board at generation 12, before 15"));
  // Even where the other board is further.
  const grpc::Status seeded = StepWhile(begun, {.seeds = 4, .generation = 99, .run_until = 99});
  EXPECT_EQ(seeded.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(seeded.error_message(), HasSubstr("another board"));
}

TEST(LifeDesk, DoesNotWhatNobodyWaitsForAnyMore) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  int posted = 0;
  LifeDesk desk([&] { ++posted; });
  desk.Offer(SmallMaps(), absl::OkStatus());
  EXPECT_EQ(desk.Do(LifePause(), [] { return true; }).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(posted, 1);
  EXPECT_TRUE(desk.TakeRequests().empty());
}

TEST(LifeDesk, KeepsWhatOthersWaitFor) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  std::atomic<int> posted = 0;
  LifeDesk desk([&] { ++posted; });
  desk.Offer(SmallMaps(), absl::OkStatus());
  absl::StatusOr<tables::LifeView> answer;
  std::jthread other([&] { answer = desk.Do(LifeResume(), nullptr); });
  while (posted == 0) std::this_thread::yield();
  EXPECT_TRUE(absl::IsCancelled(desk.Do(LifePause(), [] { return true; }).status()));
  auto requests = desk.TakeRequests();
  for (LifeDesk::Request& request : requests) request.answer.set_value(tables::LifeView{});
  other.join();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<LifeResume>(requests[0].action));
  EXPECT_TRUE(answer.ok()) << answer.status();
}

TEST(LifeDesk, TellsNewsToThoseWhoWait) {
  LifeDesk desk([] {});
  const uint64_t told = desk.WaitForNews(0, std::chrono::milliseconds(1));
  desk.TellNews();
  EXPECT_EQ(desk.WaitForNews(told, std::chrono::seconds(10)), told + 1);
}

std::set<std::string> Threads() {
  std::set<std::string> threads;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    threads.insert(entry.path());
  }
  return threads;
}

// How often a thread has gone to sleep.
int Sleeps(const std::string& thread) {
  std::ifstream status(thread + "/status");
  const std::string key = "voluntary_ctxt_switches:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoi(line.substr(key.size()));
  }
  return -1;
}

TEST(LifeFeed, SleepsWhileThereIsNothingToRead) {
  LifeDesk desk([] {});
  const std::set<std::string> before = Threads();
  LifeFeed feed(desk);
  std::string thread;
  for (const std::string& each : Threads()) {
    if (!before.contains(each)) thread = each;
  }
  ASSERT_NE(thread, "");
  ASSERT_TRUE(feed.Replace(-1).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it has begun to wait
  const int sleeps = Sleeps(thread);
  ASSERT_GT(sleeps, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  EXPECT_EQ(Sleeps(thread), sleeps);
  if (geteuid() != 0) return;
  // It wakes for a ring buffer that comes, and then looks after it.
  auto ring = kernel::BpfMap::Create({.type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096,
                                      .name = "life_feed"});
  ASSERT_TRUE(ring.ok()) << ring.status();
  ASSERT_TRUE(feed.Replace(ring->fd()).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_GE(Sleeps(thread), sleeps + 2);
  ASSERT_TRUE(feed.Replace(-1).ok());
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
