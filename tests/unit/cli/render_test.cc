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

TEST_F(RenderTest, StatusTellsOfTheBoard) {
  report::Snapshot snapshot = testing::SampleSnapshot();
  snapshot.life = life_state{.generation = 12345, .population = 678, .run_until = LIFE_FOREVER,
                             .interval_ns = 100'000'000, .width = 1024, .height = 1024,
                             .last_ns = 96'000};
  const std::string text = Render(report::ToStatus(snapshot), Style{}, kNow);
  ExpectFitsTheScreen(text);
  ExpectGolden("status_life.txt", text);
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
    auto& advice = *status.add_sizing();
    advice.set_setting("a-setting-with-a-rather-long-name");
    advice.set_map("a_map_of_it");
    advice.set_bytes_change(i);
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

v1::MapChange MapOf(v1::ChangeKind kind, const std::string& name, uint64_t before, uint64_t after) {
  v1::MapChange map;
  map.set_kind(kind);
  map.set_name(name);
  map.set_feature("conntrack");
  map.set_entries_before(before ? 1024 : 0);
  map.set_entries_after(after ? 2048 : 0);
  map.set_bytes_before(before);
  map.set_bytes_after(after);
  return map;
}

v1::PlanChangeResponse SamplePlanChange() {
  v1::PlanChangeResponse plan;
  plan.set_accepted(true);
  plan.set_planned(true);
  plan.set_generation(7);
  plan.set_bytes_measured(true);
  plan.set_reload_class(v1::RELOAD_CLASS_MIGRATE);
  for (const char* key : {"ct-entries", "enable-policy"}) {
    auto& setting = *plan.add_settings();
    setting.set_key(key);
    setting.set_before("false");
    setting.set_after("true");
    setting.set_reload_class(v1::RELOAD_CLASS_RELOAD);
  }
  *plan.add_maps() = MapOf(v1::CHANGE_KIND_CHANGED, "ct4", 200000, 400000);
  *plan.add_maps() = MapOf(v1::CHANGE_KIND_REMOVED, "ct6", 9000000, 0);
  *plan.add_maps() = MapOf(v1::CHANGE_KIND_ADDED, "policy", 0, 4096);
  const auto add = [&](v1::ChangeKind kind, const char* name, uint32_t before, uint32_t after) {
    auto& program = *plan.add_programs();
    program.set_kind(kind);
    program.set_object("from_pod");
    program.set_name(name);
    program.set_instructions_before(before);
    program.set_instructions_after(after);
  };
  add(v1::CHANGE_KIND_ADDED, "fp_policy4", 0, 640);
  add(v1::CHANGE_KIND_ADDED, "fp_recheck4", 0, 2200);
  add(v1::CHANGE_KIND_REMOVED, "fp_create4", 500, 0);
  add(v1::CHANGE_KIND_CHANGED, "from_pod", 700, 650);
  plan.mutable_before()->set_bytes(9200000);
  plan.mutable_after()->set_bytes(404096);
  plan.mutable_before()->set_maps(8);
  plan.mutable_after()->set_maps(8);
  plan.mutable_before()->set_live_instructions(8175);
  plan.mutable_after()->set_live_instructions(10465);
  return plan;
}

TEST_F(RenderTest, Plans) {
  const std::string text = Render(SamplePlanChange(), Style{});
  ExpectFitsTheScreen(text);
  ExpectGolden("plan.txt", text);
  v1::PlanChangeResponse refused;
  refused.set_generation(7);
  refused.add_refusals()->set_message("enable-polcy: unknown setting; did you mean enable-policy?");
  refused.add_refusals()->set_message("ct-tcp-timeout: \"5\" is out of range; allowed is 10..604800");
  ExpectGolden("plan_refused.txt", Render(refused, Style{}));
  v1::PlanChangeResponse nothing;
  nothing.set_accepted(true);
  nothing.set_planned(true);
  EXPECT_THAT(Render(nothing, Style{}), HasSubstr("nothing changes; bytes as of kernel 6.18"));
}

TEST_F(RenderTest, PlansFitTheScreenHoweverMuchChanges) {
  v1::PlanChangeResponse plan = SamplePlanChange();
  for (int i = 0; i < 30; ++i) {
    *plan.add_settings() = plan.settings(0);
    *plan.add_maps() = MapOf(v1::CHANGE_KIND_ADDED, "map" + std::to_string(i), 0, 1000 * (i + 1));
    *plan.add_programs() = plan.programs(3);
  }
  const std::string text = Render(plan, Style{});
  ExpectFitsTheScreen(text);
  EXPECT_THAT(text, HasSubstr("ct6")) << "what changes most is shown";
  EXPECT_THAT(text, ::testing::ContainsRegex("and [0-9]+ more maps: agentctl plan -o json"));
  EXPECT_THAT(text, HasSubstr("27 more settings"));
  EXPECT_THAT(text, HasSubstr("31 programs with other live code; -1,550 instructions"));
}

TEST_F(RenderTest, NothingOfAPlanCommandsTheTerminal) {
  v1::PlanChangeResponse plan = SamplePlanChange();
  plan.mutable_settings(0)->set_after("\033[2J");
  plan.add_refusals()->set_message("\033[2J");
  plan.mutable_maps(0)->set_name("\033[2J");
  plan.mutable_programs(0)->set_name("\033[2J");
  EXPECT_THAT(Render(plan, Style{}), Not(HasSubstr("\033")));
}

TEST_F(RenderTest, FeaturesShowWhatTheyCost) {
  v1::ListFeaturesResponse features = report::ToFeatures(snapshot_);
  report::AddCosts({{.setting = "enable-conntrack", .on = true, .with = {"enable-policy"},
                     .map_bytes = 38797312, .maps = 4, .programs = 8, .instructions = 6200},
                    {.setting = "enable-ipv6", .map_bytes = -312, .maps = -1, .programs = 2,
                     .instructions = -20}},
                   features);
  ExpectGolden("features_cost.txt", Render(features, Style{}));
}

TEST_F(RenderTest, StatusNamesSettingsThatFitBadly) {
  v1::GetStatusResponse status = report::ToStatus(snapshot_);
  const auto add = [&](const char* setting, uint64_t size, uint64_t suggested, int64_t bytes) {
    auto& advice = *status.add_sizing();
    advice.set_setting(setting);
    advice.set_map("ct4");
    advice.set_size(size);
    advice.set_peak_entries(1200);
    advice.set_suggested(suggested);
    advice.set_bytes_change(bytes);
  };
  add("endpoint-entries", 1024, 2048, 100000);
  add("ct-entries", 131072, 8192, -38797312);
  add("service-entries", 1024, 2048, 100);
  const std::string text = Render(status, Style{}, kNow);
  ExpectFitsTheScreen(text);
  ExpectGolden("status_sizing.txt", text);
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
    report::Flow flow = *decoder.Decode(report::EventSource::kFlows, &event, sizeof(event));
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

TEST_F(RenderTest, Layer7Flows) {
  report::Publisher publisher;
  publisher.Publish(testing::SampleSnapshot());
  report::FlowDecoder decoder(publisher);
  std::string text;
  const auto add = [&](report::Flow flow) {
    flow.time = report::WallTime(std::chrono::milliseconds(testing::kInForceSince * 1000 + 250));
    text += Render(report::ToFlow(flow), Style{});
  };
  http_event http = testing::SampleHttpEvent();
  const auto decode = [&] {
    return *decoder.Decode(report::EventSource::kHttp, &http, sizeof(http));
  };
  add(decode());
  http.path[1] = 0x1b;
  http.flags = HTTP_PATH_CUT | HTTP_HOST_CUT;
  add(decode());
  http.head.kind = L7_MALFORMED;
  add(decode());
  http.head.kind = L7_RESPONSE;
  http.status = 404;
  add(decode());
  const dns_event dns = testing::SampleDnsEvent();
  report::Flow flow = *decoder.Decode(report::EventSource::kDns, &dns, sizeof(dns));
  flow.dns = report::DnsDetails{.id = 7, .name = "web.example.", .type = "A"};
  add(flow);
  flow.l7_kind = L7_RESPONSE;
  flow.dns->rcode = "NOERROR";
  flow.dns->answers = {testing::Ip("10.0.1.3"), testing::Ip("10.0.2.3")};
  flow.dns->answers_cut = flow.dns->name_cut = flow.dns->truncated = true;
  add(flow);
  flow.l7_kind = L7_DENIED;
  flow.dns = report::DnsDetails{.name = "denied.example.", .type = "AAAA"};
  add(flow);
  flow.l7_kind = L7_MALFORMED;
  add(flow);
  ExpectGolden("flows_l7.txt", text);
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
