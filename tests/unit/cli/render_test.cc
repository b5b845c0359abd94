// SPDX-License-Identifier: Apache-2.0
// What operators see, against tests/golden/cli. BONSAI_UPDATE_GOLDEN=1 writes the files anew.
#include "agent/cli/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/cli/document.h"
#include "agent/report/flow_decode.h"
#include "agent/report/to_proto.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::time_t kNow = testing::kInForceSince + 60;

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = std::string(BONSAI_SOURCE_DIR) + "/tests/golden/cli/" + name;
  if (::getenv("BONSAI_UPDATE_GOLDEN")) std::ofstream(path) << text;
  std::ostringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str()) << name << " changed; BONSAI_UPDATE_GOLDEN=1 accepts it";
}

void ExpectFitsTheScreen(const std::string& text) {
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_LE(count, 23);
}

class RenderTest : public ::testing::Test {
 protected:
  RenderTest() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  const report::Snapshot snapshot_ = testing::SampleSnapshot();
};

v1::GetStatusResponse Troubled() {
  report::Snapshot snapshot = testing::SampleSnapshot();
  const auto since = report::WallTime(std::chrono::seconds(testing::kInForceSince + 30));
  snapshot.health = report::Health::kDegraded;
  snapshot.configuration.in_sync = false;
  snapshot.configuration.drift_since = since;
  snapshot.problems = {
      {"configuration",
       "reading /etc/bonsai/config: key \"enable-ipv7\" is unknown, did you mean \"enable-ipv6\"? "
       "the last good configuration stays in force", since},
      {"kernel-feature", "flow-events: the kernel has no ring buffer wake-ups; needs 5.8", since}};
  return report::ToStatus(snapshot);
}

TEST_F(RenderTest, StatusIsOneScreen) {
  const std::string text = Render(report::ToStatus(snapshot_), Style{}, kNow);
  ExpectFitsTheScreen(text);
  ExpectGolden("status.txt", text);
}

TEST_F(RenderTest, StatusShowsWhatWasRefused) {
  const std::string text = Render(Troubled(), Style{}, kNow);
  ExpectFitsTheScreen(text);
  ExpectGolden("status_degraded.txt", text);
}

TEST_F(RenderTest, StatusShowsWhereAChangeFailed) {
  v1::GetStatusResponse status = Troubled();
  v1::Problem& problem = *status.mutable_problems(0);
  problem.set_step("load program");
  problem.set_object("from_pod/fp_lb4");
  problem.add_verifier("0: (bf) r0 = r9");
  problem.add_verifier("R9 !read_ok");
  const std::string text = Render(status, Style{}, kNow);
  ExpectFitsTheScreen(text);
  EXPECT_NE(text.find("step: load program; object: from_pod/fp_lb4\n"), std::string::npos) << text;
  EXPECT_NE(text.find("verifier: 0: (bf) r0 = r9\n"), std::string::npos) << text;
  EXPECT_NE(text.find("verifier: R9 !read_ok\n"), std::string::npos) << text;
}

TEST_F(RenderTest, StatusBeforeTheFirstConfiguration) {
  report::Snapshot snapshot;
  snapshot.version = "0.1.0";
  snapshot.node = "node-a";
  snapshot.kernel = "6.1.0-28-amd64";
  snapshot.started = report::WallTime(std::chrono::seconds(kNow - 2));
  const std::string text = Render(report::ToStatus(snapshot), Style{}, kNow);
  ExpectFitsTheScreen(text);
  ExpectGolden("status_starting.txt", text);
}

TEST_F(RenderTest, StatusFitsTheScreenHoweverMuchIsWrong) {
  v1::GetStatusResponse status = Troubled();
  status.set_node(std::string(63, 'n'));
  status.set_kernel("6.8.0-1021-some-cloud-vendor-64k-pages");
  for (int i = 0; i < 40; ++i) {
    status.add_features_off("feature-number-" + std::to_string(i));
    *status.add_problems() = status.problems(0);
  }
  const std::string text = Render(status, Style{}, kNow);
  ExpectFitsTheScreen(text);
  EXPECT_THAT(text, HasSubstr("more: agentctl status -o json"));
  EXPECT_THAT(text, HasSubstr("... (agentctl features)"));
  EXPECT_THAT(text, HasSubstr("degraded, up 3h12m"));
}

TEST_F(RenderTest, StatusFitsTheScreenWithOneEndlessProblem) {
  v1::GetStatusResponse status = Troubled();
  for (int i = 0; i < 500; ++i) status.mutable_problems(0)->mutable_message()->append(" more");
  const std::string text = Render(status, Style{}, kNow);
  ExpectFitsTheScreen(text);
  EXPECT_THAT(text, HasSubstr("[configuration] reading /etc/bonsai/config"));
}

TEST_F(RenderTest, ColoursOnlyWhenAskedFor) {
  const auto status = report::ToStatus(snapshot_);
  EXPECT_THAT(Render(status, Style{.colour = true}, kNow), HasSubstr("\033[32mhealthy\033[0m"));
  EXPECT_THAT(Render(status, Style{}, kNow), Not(HasSubstr("\033")));
}

TEST_F(RenderTest, NothingFromTheAgentCommandsTheTerminal) {
  v1::GetStatusResponse status = Troubled();
  status.set_node("evil\033[2Jnode");
  status.mutable_problems(0)->set_message("text \033]0;title\007 text");
  EXPECT_THAT(Render(status, Style{}, kNow), Not(HasSubstr("\033")));
  v1::ListMapsResponse maps;
  maps.add_maps()->set_reason("a\033[2Jb");
  EXPECT_THAT(Render(maps, Style{}), Not(HasSubstr("\033")));
}

TEST_F(RenderTest, Lists) {
  ExpectGolden("features.txt", Render(report::ToFeatures(snapshot_), Style{}));
  ExpectGolden("maps.txt", Render(report::ToMaps(snapshot_), Style{}));
  ExpectGolden("programs.txt", Render(report::ToPrograms(snapshot_), Style{}));
  ExpectGolden("constants.txt", Render(report::ToConstants(snapshot_), Style{}));
  ExpectGolden("endpoints.txt", Render(report::ToEndpoints(snapshot_), Style{}));
  ExpectGolden("services.txt", Render(report::ToServices(snapshot_), Style{}));
  ExpectGolden("policies.txt", Render(report::ToPolicies(snapshot_), Style{}));
  ExpectGolden("version.txt", Render(report::ToVersion(snapshot_), Style{}));
}

TEST_F(RenderTest, ConfigMarksWhatTheOperatorSet) {
  const std::string text = Render(report::ToConfig(snapshot_), Style{});
  EXPECT_THAT(text, ::testing::ContainsRegex("log-level +debug +yes +agent"));
  EXPECT_THAT(text, ::testing::ContainsRegex("metrics-address +127.0.0.1:9962 +default"));
}

TEST_F(RenderTest, Flows) {
  report::Publisher publisher;
  publisher.Publish(testing::SampleSnapshot());
  report::FlowDecoder decoder(publisher);
  std::string text;
  const auto add = [&](const flow_event& event) {
    report::Flow flow = *decoder.Decode(&event, sizeof(event));
    flow.time = report::WallTime(std::chrono::milliseconds(testing::kInForceSince * 1000 + 250));
    text += Render(report::ToFlow(flow), Style{});
  };
  flow_event event = testing::SampleEvent();
  add(event);
  event.kind = FLOW_NEW;
  event.reason = REASON_FORWARDED;
  event.rule = 0;
  add(event);
  event.protocol = IPPROTO_ICMP;
  event.sport = 8;
  std::fill(std::begin(event.nat_addr), std::end(event.nat_addr), 0);
  add(event);
  ExpectGolden("flows.txt", text);
}

TEST_F(RenderTest, JsonHasEveryFieldUnderItsOwnName) {
  const auto tree = nlohmann::ordered_json::parse(ToJson(report::ToStatus(report::Snapshot())));
  const auto* type = v1::GetStatusResponse::descriptor();
  ASSERT_EQ(tree.size(), static_cast<size_t>(type->field_count()));
  for (int i = 0; i < type->field_count(); ++i) EXPECT_TRUE(tree.contains(type->field(i)->name()));
  EXPECT_EQ(tree["started"], nullptr);
  EXPECT_EQ(tree["health"], "HEALTH_STARTING");
  EXPECT_EQ(tree["configuration"]["in_sync"], true);
  EXPECT_EQ(tree["configuration"]["generation"], "0");
}

TEST_F(RenderTest, DocumentsOfTheSample) {
  ExpectGolden("status.json", ToJson(report::ToStatus(snapshot_)));
  ExpectGolden("status.yaml", ToYaml(report::ToStatus(snapshot_)));
  ExpectGolden("maps.yaml", ToYaml(report::ToMaps(snapshot_)));
}

}  // namespace
}  // namespace bonsai::cli
