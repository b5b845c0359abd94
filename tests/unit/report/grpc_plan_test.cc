// SPDX-License-Identifier: Apache-2.0
// Plans over gRPC: answers, refusals, hostile requests, many at once.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "agent/report/grpc_server.h"
#include "agent/report/plan_desk.h"
#include "agent/report/to_proto.h"
#include "bonsai/v1/agent.grpc.pb.h"
#include "tests/unit/plan/shipped.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::SizeIs;

// The sample with the shipped objects behind it, conntrack in use.
Snapshot PlannedSnapshot() {
  Snapshot snapshot = testing::SampleSnapshot();
  auto inputs = std::make_shared<plan::Inputs>(plan::ShippedInputs());
  plan::InForce now(*inputs, {{"ct-entries", "65536"}, {"log-level", "debug"}});
  snapshot.schema = inputs->schema;
  snapshot.inputs = std::move(inputs);
  snapshot.settings = std::make_shared<const settings::Settings>(std::move(now.settings));
  snapshot.plan = std::make_shared<const plan::LoadPlan>(std::move(now.plan));
  // Of what the sample has loaded, what this plan has too.
  std::erase_if(snapshot.maps, [&](const auto& map) {
    const plan::MapPlan* planned = snapshot.plan->FindMap(map.first);
    return planned == nullptr || !planned->create;
  });
  return snapshot;
}

class GrpcPlanTest : public ::testing::Test {
 protected:
  void Start(Snapshot snapshot = PlannedSnapshot()) {
    publisher_.Publish(std::move(snapshot));
    const std::string socket = directory_.path() + "/agent.sock";
    auto server = GrpcServer::Start({.socket_path = socket}, publisher_, hub_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::Agent::NewStub(
        grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  }

  grpc::Status Ask(const v1::PlanChangeRequest& request, v1::PlanChangeResponse& response,
                   std::chrono::milliseconds deadline = std::chrono::seconds(20)) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    return stub_->PlanChange(&context, request, &response);
  }
  v1::PlanChangeResponse Ask(const v1::PlanChangeRequest& request) const {
    v1::PlanChangeResponse response;
    const grpc::Status status = Ask(request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  testing::TemporaryDirectory directory_;
  Publisher publisher_;
  FlowHub hub_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::Agent::Stub> stub_;
};

v1::PlanChangeRequest Set(const std::map<std::string, std::string>& overrides) {
  v1::PlanChangeRequest request;
  request.mutable_overrides()->insert(overrides.begin(), overrides.end());
  return request;
}

TEST_F(GrpcPlanTest, OverridesAreOnTopOfWhatIsInForce) {
  Start();
  const v1::PlanChangeResponse plan = Ask(Set({{"enable-policy", "true"}}));
  EXPECT_TRUE(plan.accepted());
  EXPECT_EQ(plan.generation(), 7u);
  EXPECT_EQ(plan.reload_class(), v1::RELOAD_CLASS_RELOAD);
  ASSERT_EQ(plan.settings_size(), 1) << "log-level and ct-entries stay as they are given";
  EXPECT_EQ(plan.settings(0).key(), "enable-policy");
  EXPECT_THAT(plan.maps(), Contains(Property(&v1::MapChange::name, "policy")));
  EXPECT_EQ(plan.before().maps() + 5, plan.after().maps());
}

TEST_F(GrpcPlanTest, AConfigurationIsInPlaceOfWhatIsGiven) {
  Start();
  v1::PlanChangeRequest request = Set({{"log-level", "info"}});
  (*request.mutable_configuration()->mutable_values())["log-level"] = "error";
  const v1::PlanChangeResponse plan = Ask(request);
  ASSERT_EQ(plan.settings_size(), 2);
  EXPECT_EQ(plan.settings(0).key(), "ct-entries") << "back to its default";
  EXPECT_EQ(plan.settings(0).after(), "131072");
  EXPECT_EQ(plan.settings(1).after(), "info") << "the override wins";
  EXPECT_EQ(plan.reload_class(), v1::RELOAD_CLASS_MIGRATE);
}

TEST_F(GrpcPlanTest, AnEmptyRequestChangesNothing) {
  Start();
  const v1::PlanChangeResponse plan = Ask(v1::PlanChangeRequest());
  EXPECT_TRUE(plan.accepted());
  EXPECT_EQ(plan.settings_size() + plan.maps_size() + plan.programs_size(), 0);
}

TEST_F(GrpcPlanTest, ARefusalIsAnAnswer) {
  Start();
  const v1::PlanChangeResponse wrong = Ask(Set({{"enable-polcy", "true"}, {"", ""}}));
  EXPECT_FALSE(wrong.accepted());
  EXPECT_FALSE(wrong.planned());
  EXPECT_FALSE(wrong.has_after());
  ASSERT_EQ(wrong.refusals_size(), 2);
  EXPECT_EQ(wrong.refusals(1).nearest(), "enable-policy");
  const v1::PlanChangeResponse small = Ask(Set({{"ct-entries", "16384"}}));
  EXPECT_FALSE(small.accepted());
  EXPECT_TRUE(small.planned());
  ASSERT_EQ(small.refusals_size(), 1);
  EXPECT_EQ(small.refusals(0).reason(), v1::REFUSAL_REASON_IN_USE);
  EXPECT_THAT(small.refusals(0).message(), HasSubstr("23592")) << "entries of the sample's ct4";
}

TEST_F(GrpcPlanTest, HostileRequestsAreRefusedAndTheServerServesOn) {
  Start();
  v1::PlanChangeResponse response;
  v1::PlanChangeRequest many;
  for (int i = 0; i < 2000; ++i) (*many.mutable_overrides())["key-" + std::to_string(i)] = "1";
  EXPECT_EQ(Ask(many, response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::PlanChangeRequest whole;
  *whole.mutable_configuration()->mutable_values() = many.overrides();
  EXPECT_EQ(Ask(whole, response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Ask(Set({{std::string(100000, 'k'), "1"}}), response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Ask(Set({{"log-level", std::string(2 << 20, 'v')}}), response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  // As long as a ConfigMap may be: an answer, in a line.
  const v1::PlanChangeResponse large = Ask(Set({{"log-level", std::string(1 << 20, 'v')}}));
  ASSERT_EQ(large.refusals_size(), 1);
  EXPECT_LT(large.refusals(0).message().size(), 1000u);
  EXPECT_FALSE(Ask(Set({{"log-level", "\xff\xfe"}}), response).ok()) << "no UTF-8";
  const v1::PlanChangeResponse odd = Ask(Set({{"a\nb: c", "1"}, {"log-level", std::string("\0x", 2)}}));
  EXPECT_EQ(odd.refusals_size(), 2);
  v1::PlanChangeRequest unknown;
  for (size_t i = 0; i < PlanDesk::kMostKeys; ++i) {
    std::string key = std::to_string(i) + "-enable-policy-";
    key.resize(100, 'x');  // as long as nearest names are still looked for
    (*unknown.mutable_overrides())[key] = "1";
  }
  EXPECT_EQ(Ask(unknown).refusals_size(), static_cast<int>(PlanDesk::kMostKeys));
  EXPECT_TRUE(Ask(Set({})).accepted());
}

TEST_F(GrpcPlanTest, BeforeTheNodeIsKnownThereIsNoPlan) {
  Start(Snapshot());
  v1::PlanChangeResponse response;
  EXPECT_EQ(Ask(Set({}), response).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcPlanTest, WithoutAConfigurationInForceEverythingComes) {
  Snapshot snapshot;
  snapshot.inputs = std::make_shared<const plan::Inputs>(plan::ShippedInputs());
  Start(std::move(snapshot));
  const v1::PlanChangeResponse plan = Ask(Set({{"enable-ipv6", "false"}}));
  EXPECT_TRUE(plan.accepted());
  EXPECT_EQ(plan.generation(), 0u);
  EXPECT_EQ(plan.before().maps(), 0u);
  EXPECT_GT(plan.after().maps(), 0u);
}

TEST_F(GrpcPlanTest, ManyAtOnceAllGetTheSameAnswer) {
  Start();
  const std::string expected = Ask(Set({{"enable-policy", "true"}})).SerializeAsString();
  std::atomic<int> equal{0};
  std::vector<std::jthread> clients;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back([&] {
      equal += Ask(Set({{"enable-policy", "true"}})).SerializeAsString() == expected;
    });
  }
  clients.clear();
  EXPECT_EQ(equal, 12);
}

TEST_F(GrpcPlanTest, TurnsComeBackFromClientsThatDidNotWait) {
  Start();
  std::atomic<int> odd{0};
  std::vector<std::jthread> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back([&, i] {
      v1::PlanChangeResponse response;
      const auto code = Ask(Set({{"enable-policy", "true"}}), response,
                            std::chrono::milliseconds(1 + i % 8)).error_code();
      odd += code != grpc::StatusCode::DEADLINE_EXCEEDED && code != grpc::StatusCode::OK &&
             code != grpc::StatusCode::RESOURCE_EXHAUSTED;
    });
  }
  clients.clear();
  EXPECT_EQ(odd, 0);
  // Those whose clients left give their turns back within a tick; then all of them are free again.
  v1::PlanChangeResponse response;
  for (int i = 0; i < 200 && !Ask(Set({}), response).ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (size_t i = 0; i < 2 * PlanDesk::kAtOnce; ++i) {
    EXPECT_TRUE(Ask(Set({{"enable-policy", "true"}})).accepted());
  }
}

TEST_F(GrpcPlanTest, FeaturesHaveTheirCosts) {
  Start();
  grpc::ClientContext context;
  v1::ListFeaturesResponse features;
  ASSERT_TRUE(stub_->ListFeatures(&context, {}, &features).ok());
  int compared = 0;
  for (const v1::Feature& feature : features.features()) {
    ASSERT_TRUE(feature.has_cost()) << feature.name();
    const v1::PlanChangeResponse plan =
        Ask(Set({{feature.setting(), feature.name() == "conntrack" ? "false" : "true"}}));
    if (plan.settings_size() != 1) continue;
    ++compared;
    const int64_t growth = static_cast<int64_t>(plan.after().bytes()) -
                           static_cast<int64_t>(plan.before().bytes());
    EXPECT_EQ(feature.cost().bytes(), feature.name() == "conntrack" ? -growth : growth)
        << feature.name();
  }
  EXPECT_GE(compared, 2);
}

// What the desk does when all turns are taken, without a race: the turns are held by plans that
// wait for the test.
TEST(PlanDesk, RefusesWhenTooManyWaitAndGivesUpWhenNobodyDoes) {
  const Snapshot snapshot = PlannedSnapshot();
  PlanDesk desk;
  std::atomic<size_t> held{0};
  std::atomic<bool> release{false};
  const auto hold = [&] {
    ++held;
    while (!release) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return false;
  };
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < PlanDesk::kAtOnce; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(desk.Change(snapshot, Set({}), hold).ok()); });
  }
  while (held < PlanDesk::kAtOnce) std::this_thread::yield();
  EXPECT_TRUE(absl::IsCancelled(desk.Change(snapshot, Set({}), [] { return true; }).status()));
  std::atomic<size_t> asked{0};
  for (size_t i = 0; i < PlanDesk::kWaiting; ++i) {
    threads.emplace_back([&] {
      bool first = true;
      const auto waits = [&] {
        asked += std::exchange(first, false);
        return false;
      };
      EXPECT_TRUE(desk.Change(snapshot, Set({}), waits).ok());
    });
  }
  while (asked < PlanDesk::kWaiting) std::this_thread::yield();
  const auto refused = desk.Change(snapshot, Set({}), [] { return false; });
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  EXPECT_EQ(held, PlanDesk::kAtOnce) << "nobody else had a turn";
  release = true;
  threads.clear();
  EXPECT_TRUE(desk.Change(snapshot, Set({}), [] { return false; }).ok());
}

TEST(PlanDesk, MakesTheCostsOfAConfigurationOnce) {
  const Snapshot snapshot = PlannedSnapshot();
  PlanDesk desk;
  const auto first = desk.FeatureCosts(snapshot, [] { return false; });
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_NE(*first, nullptr);
  const auto again = desk.FeatureCosts(snapshot, [] { return true; });
  ASSERT_TRUE(again.ok()) << "nothing was left to cancel: " << again.status();
  EXPECT_EQ(*first, *again);
  const auto other = desk.FeatureCosts(PlannedSnapshot(), [] { return false; });
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE(*first, *other);
  EXPECT_EQ(*desk.FeatureCosts(testing::SampleSnapshot(), [] { return true; }), nullptr);
}

TEST(Sizing, StatusNamesASettingThatIsNearlyFull) {
  Snapshot snapshot = PlannedSnapshot();
  EXPECT_EQ(ToStatus(snapshot).sizing_size(), 0);
  snapshot.maps["ct4"].peak_entries = 60000;
  snapshot.maps["ct6"] = {.id = 105, .bytes = 11 << 20, .entries_known = true};
  const v1::GetStatusResponse status = ToStatus(snapshot);
  ASSERT_EQ(status.sizing_size(), 1);
  EXPECT_EQ(status.sizing(0).setting(), "ct-entries");
  EXPECT_EQ(status.sizing(0).map(), "ct4");
  EXPECT_EQ(status.sizing(0).peak_entries(), 60000u);
  EXPECT_EQ(status.sizing(0).suggested(), 131072u);
  EXPECT_GT(status.sizing(0).bytes_change(), 0);
}

TEST(Sizing, StatusNamesASettingThatIsFarTooLargeAfterAWhile) {
  Snapshot snapshot = PlannedSnapshot();
  snapshot.maps["ct4"] = {.id = 101, .bytes = 9 << 20, .entries = 5, .entries_known = true,
                          .peak_entries = 100, .counted_since = snapshot.taken};
  snapshot.maps["ct6"] = snapshot.maps["ct4"];
  EXPECT_EQ(ToStatus(snapshot).sizing_size(), 0);
  snapshot.taken += std::chrono::hours(1);
  const v1::GetStatusResponse status = ToStatus(snapshot);
  ASSERT_EQ(status.sizing_size(), 1);
  EXPECT_LT(status.sizing(0).bytes_change(), -(10 << 20)) << "both families";
}

}  // namespace
}  // namespace bonsai::report
