// SPDX-License-Identifier: Apache-2.0
// agentctl plan, as a command: offline against the shipped objects, and against a server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/cli/input.h"
#include "agent/report/grpc_server.h"
#include "tests/unit/cli/spawn.h"
#include "tests/unit/plan/shipped.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using ::testing::HasSubstr;
using testing::Outcome;

class PlanCommandTest : public ::testing::Test {
 protected:
  PlanCommandTest() { ::unsetenv("BONSAI_SOCKET"); }

  Outcome Run(std::vector<std::string> words) const {
    words.insert(words.begin(), "plan");
    return testing::CollectAgentctl(testing::SpawnAgentctl(words, directory_.path()),
                                    directory_.path());
  }
  Outcome Offline(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--objects", BONSAI_BPF_DIR});
    return Run(std::move(words));
  }
  std::string File(const std::string& name, const std::string& text) const {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  void Serve() {
    report::Snapshot snapshot = testing::SampleSnapshot();
    snapshot.inputs = std::make_shared<const plan::Inputs>(plan::ShippedInputs());
    plan::InForce now(*snapshot.inputs, {{"ct-entries", "4096"}});
    snapshot.settings = std::make_shared<const settings::Settings>(std::move(now.settings));
    snapshot.plan = std::make_shared<const plan::LoadPlan>(std::move(now.plan));
    snapshot.maps.clear();
    publisher_.Publish(std::move(snapshot));
    auto server = report::GrpcServer::Start({.socket_path = socket()}, publisher_, hub_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::string socket() const { return directory_.path() + "/agent.sock"; }

  testing::TemporaryDirectory directory_;
  report::Publisher publisher_;
  report::FlowHub hub_;
  std::unique_ptr<report::GrpcServer> server_;
};

TEST_F(PlanCommandTest, PlansOfflineInEveryForm) {
  const Outcome table = Offline({"--set", "enable-policy=true"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_EQ(table.err, "");
  EXPECT_THAT(table.out, HasSubstr("would be applied, class reload"));
  EXPECT_THAT(table.out, HasSubstr("\n~ enable-policy  false  true  reload\n"));
  EXPECT_THAT(table.out, HasSubstr("\n+ policy "));
  const Outcome json = Offline({"--set", "enable-policy=true", "-o", "json"});
  const auto tree = nlohmann::json::parse(json.out, nullptr, false);
  ASSERT_TRUE(tree.is_object()) << json.out;
  EXPECT_EQ(tree["accepted"], true);
  EXPECT_EQ(tree["generation"], "0");
  EXPECT_EQ(tree["maps"].size(), 5u);
  EXPECT_THAT(Offline({"--set", "enable-policy=true", "-o", "yaml"}).out,
              HasSubstr("\n  - key: \"enable-policy\"\n"));
}

TEST_F(PlanCommandTest, HoldsOneConfigurationAgainstAnother) {
  const std::string old_one = File("old.yaml", "{enable-ipv6: false, ct-entries: 4096}");
  const std::string new_one = File("new.yaml", "{enable-ipv6: false, ct-entries: 8192}");
  const Outcome same = Offline({"--current", old_one, "-f", old_one});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_THAT(same.out, HasSubstr("nothing changes"));
  const Outcome other = Offline({"--current", old_one, "--config", new_one, "--set", "log-level=debug"});
  EXPECT_THAT(other.out, HasSubstr("class migrate"));
  EXPECT_THAT(other.out, HasSubstr("~ ct4"));
  EXPECT_THAT(other.out, HasSubstr("log-level"));
  EXPECT_EQ(other.out.find("enable-ipv6"), std::string::npos);
  // Without --config, --set is on top of --current.
  EXPECT_THAT(Offline({"--current", old_one, "--set", "ct-entries=8192"}).out,
              HasSubstr("~ ct-entries  4096  8192  migrate"));
}

TEST_F(PlanCommandTest, ReadsAConfigMapAsItIsMounted) {
  ASSERT_EQ(::system(("mkdir " + directory_.path() + "/config").c_str()), 0);
  File("config/enable-ipv6", "false\n");
  const Outcome outcome = Offline({"--config", directory_.path() + "/config"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("~ enable-ipv6  true  false"));
}

TEST_F(PlanCommandTest, ARefusalIsPrintedAndIsTwo) {
  const Outcome outcome = Offline({"--set", "enable-polcy=true", "--set", "ct-tcp-timeout=5"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("would be refused"));
  EXPECT_THAT(outcome.out, HasSubstr("! enable-polcy: unknown setting; did you mean enable-policy?"));
  EXPECT_THAT(outcome.out, HasSubstr("10..604800"));
  EXPECT_EQ(outcome.err, "");
}

TEST_F(PlanCommandTest, UsageErrorsAreOneLineAndTwo) {
  const std::string bad = File("bad.yaml", "enable-ipv6: {nested: true}");
  const std::string empty = File("empty.yaml", "");
  const std::string binary = File("binary.yaml", "log-level: \"\xff\xfe\"");
  const std::vector<std::vector<std::string>> cases = {
      {}, {"--set", "novalue"}, {"--set", "=x"}, {"--set", "log-level=\xff"},
      {"--config", "/nonexistent/file"}, {"--config", bad}, {"--config", empty},
      {"--config", binary}, {"--set", "a=b", "--watch"}, {"--set", "a=b", "-o", "dot"},
      {"--set", "a=b", "--objects", "/nonexistent"}, {"--set", "a=b", "--objects", "/proc"},
      {"--set", "log-level=debug", "--objects", directory_.path() + "/broken"}};
  ASSERT_EQ(::system(("mkdir " + directory_.path() + "/broken").c_str()), 0);
  File("broken/xdp.bpf.o", "no object");
  for (const auto& words : cases) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(words) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
  EXPECT_EQ(Run({"--set", "a=b", "--current", bad}).code, 2) << "--current is for --objects";
  const Outcome current = Offline({"--set", "log-level=debug", "--current", File("c.yaml", "{x: 1}")});
  EXPECT_EQ(current.code, 2);
  EXPECT_THAT(current.err, HasSubstr("--current"));
}

TEST_F(PlanCommandTest, AsksTheAgent) {
  Serve();
  const Outcome plan = Run({"--set", "enable-policy=true", "--socket", socket()});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("Against generation 7: would be applied, class reload"));
  EXPECT_EQ(Run({"--set", "ct-entries=1", "--socket", socket()}).code, 2);
  const Outcome whole = Run({"-f", File("new.yaml", "{enable-ipv6: false}"), "--socket", socket()});
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_THAT(whole.out, HasSubstr("~ ct-entries   4096  131072  migrate"));
  server_->Stop();
  EXPECT_EQ(Run({"--set", "enable-policy=true", "--socket", socket()}).code, 1);
}

TEST(Input, KnowsUtf8) {
  for (const char* good : {"", "plain", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x8c\xb3", "\x7f"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xe2\x82", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(IsUtf8(bad)) << ::testing::PrintToString(bad);
  }
}

}  // namespace
}  // namespace bonsai::cli
