// SPDX-License-Identifier: Apache-2.0
// The agentctl binary against a real server: output, messages and exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "agent/base/unique_fd.h"
#include "agent/report/flow_decode.h"
#include "agent/report/grpc_server.h"
#include "tests/unit/cli/spawn.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::Outcome;

class AgentctlTest : public ::testing::Test {
 protected:
  AgentctlTest() {
    ::setenv("TZ", "UTC", 1);
    ::unsetenv("BONSAI_SOCKET");
  }

  std::string socket() const { return directory_.path() + "/agent.sock"; }

  void Serve(report::Snapshot snapshot) {
    publisher_.Publish(std::move(snapshot));
    auto server = report::GrpcServer::Start({.socket_path = socket()}, publisher_, hub_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  pid_t Spawn(const std::vector<std::string>& words) const {
    return testing::SpawnAgentctl(words, directory_.path());
  }
  Outcome Collect(pid_t pid) const { return testing::CollectAgentctl(pid, directory_.path()); }
  Outcome Run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--socket", socket()});
    return Collect(Spawn(std::move(words)));
  }

  // Somebody who listens, and never says a word.
  base::UniqueFd Mute() const {
    base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX};
    std::strcpy(address.sun_path, socket().c_str());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(fd.get(), 8), 0);
    return fd;
  }

  testing::TemporaryDirectory directory_;
  report::Publisher publisher_;
  report::FlowHub hub_;
  std::unique_ptr<report::GrpcServer> server_;
};

TEST_F(AgentctlTest, EveryListInEveryForm) {
  Serve(testing::SampleSnapshot());
  for (const char* command : {"status", "features", "maps", "programs", "constants", "config",
                              "endpoints", "services", "policies", "version"}) {
    const Outcome table = Run({command});
    EXPECT_EQ(table.code, 0) << command << ": " << table.err;
    EXPECT_EQ(table.err, "") << command;
    EXPECT_GT(table.out.size(), 20u) << command;
    const Outcome json = Run({command, "-o", "json"});
    EXPECT_EQ(json.code, 0) << command << ": " << json.err;
    EXPECT_TRUE(nlohmann::json::accept(json.out)) << command << ": " << json.out;
    const Outcome yaml = Run({"-o", "yaml", command});
    EXPECT_EQ(yaml.code, 0) << command << ": " << yaml.err;
    EXPECT_THAT(yaml.out, ::testing::ContainsRegex("^[a-z_]+:")) << command;
  }
}

TEST_F(AgentctlTest, ExitCodeOfStatusIsTheHealth) {
  report::Snapshot snapshot = testing::SampleSnapshot();
  Serve(snapshot);
  EXPECT_EQ(Run({"status"}).code, 0);
  snapshot.health = report::Health::kDegraded;
  publisher_.Publish(snapshot);
  EXPECT_EQ(Run({"status"}).code, 3);
  EXPECT_EQ(Run({"maps"}).code, 0);
  snapshot.health = report::Health::kStarting;
  publisher_.Publish(snapshot);
  EXPECT_EQ(Run({"status", "-o", "json"}).code, 3);
  snapshot.health = report::Health::kUnhealthy;
  publisher_.Publish(snapshot);
  EXPECT_EQ(Run({"status"}).code, 1);
}

TEST_F(AgentctlTest, SaysWhatToDoWhenNobodyServes) {
  const Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, StartsWith("agentctl: reaching the agent at " + socket()));
  EXPECT_THAT(outcome.err, HasSubstr("is bonsai-agent running?"));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
}

TEST_F(AgentctlTest, GivesUpOnAnAgentThatDoesNotAnswer) {
  const base::UniqueFd fd = Mute();
  for (const char* command : {"status", "flows"}) {
    const Outcome outcome = Run({command, "--timeout", "0.3"});
    EXPECT_EQ(outcome.code, 1) << command;
    EXPECT_THAT(outcome.err, HasSubstr("no answer in time; see --timeout")) << command;
  }
}

TEST_F(AgentctlTest, AStepTakesItsTimeUnlessToldOtherwise) {
  const base::UniqueFd fd = Mute();
  const Outcome outcome = Run({"life", "step", "1000", "--timeout", "0.3"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no answer in time"));
  EXPECT_THAT(outcome.err, HasSubstr("goes on to its last generation"));
  // Longer than the others wait.
  const pid_t pid = Spawn({"life", "step", "1000", "--socket", socket()});
  std::this_thread::sleep_for(std::chrono::milliseconds(5500));
  EXPECT_EQ(::kill(pid, SIGTERM), 0);
  EXPECT_EQ(Collect(pid).code, -SIGTERM) << "it had ended before";
}

TEST_F(AgentctlTest, TakesTheSocketFromTheEnvironment) {
  Serve(testing::SampleSnapshot());
  ::setenv("BONSAI_SOCKET", socket().c_str(), 1);
  const Outcome outcome = Collect(Spawn({"version"}));
  ::unsetenv("BONSAI_SOCKET");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "agentctl 0.1.0\nagent 0.1.0 on node-a, kernel 6.18.44\n");
}

TEST_F(AgentctlTest, UsageErrorsAreOneLineAndTwo) {
  const std::vector<std::vector<std::string>> cases = {
      {}, {"nonsense"}, {"status", "-o", "xml"}, {"status", "--timeout", "0"},
      {"status", "--timeout", "soon"}, {"flows", "--last", "-1"}, {"flows", "--watch"},
      {"completion", "fish"}, {"life", "seed", "random", "--number", "-1"},
      {"life", "seed", "random", "--number", "18446744073709551616"},
      {"life", "seed", "random", "--number", "7x"},
      {"maps", "-o", "dot"}, {"flows", "-o", "dot"}, {"status", "--socket", std::string(200, 'x')}};
  for (const auto& words : cases) {
    const Outcome outcome = Collect(Spawn(words));
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(words) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST_F(AgentctlTest, HelpGoesToStdoutAndNamesTheExitCodes) {
  const Outcome outcome = Collect(Spawn({"--help"}));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("3 degraded"));
  EXPECT_EQ(outcome.err, "");
}

TEST_F(AgentctlTest, FlowsShowsKeptOnesAndEnds) {
  Serve(testing::SampleSnapshot());
  report::FlowDecoder decoder(publisher_);
  const flow_event event = testing::SampleEvent();
  for (int i = 0; i < 3; ++i) {
    hub_.Push(*decoder.Decode(report::EventSource::kFlows, &event, sizeof(event)));
  }
  const Outcome two = Run({"flows", "--last", "2", "-o", "json"});
  EXPECT_EQ(two.code, 0) << two.err;
  std::istringstream lines(two.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_EQ(nlohmann::json::parse(line)["policy"], "default/client");
  }
  EXPECT_EQ(count, 2);
  EXPECT_EQ(Run({"flows", "--pod", "nobody"}).out, "");
  const Outcome bad = Run({"flows", "--ip", "10.0.0.300"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("10.0.0.300"));
}

TEST_F(AgentctlTest, FlowsShowsOnlyTheLayer7ProtocolsAskedFor) {
  Serve(testing::SampleSnapshot());
  report::FlowDecoder decoder(publisher_);
  const flow_event event = testing::SampleEvent();
  const dns_event dns = testing::SampleDnsEvent();
  const http_event http = testing::SampleHttpEvent();
  hub_.Push(*decoder.Decode(report::EventSource::kFlows, &event, sizeof(event)));
  hub_.Push(*decoder.Decode(report::EventSource::kDns, &dns, sizeof(dns)));
  hub_.Push(*decoder.Decode(report::EventSource::kHttp, &http, sizeof(http)));
  const auto lines = [this](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"flows"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return std::count(outcome.out.begin(), outcome.out.end(), '\n');
  };
  EXPECT_EQ(lines({}), 3);
  EXPECT_EQ(lines({"--l7", "dns"}), 1);
  EXPECT_EQ(lines({"--l7", "http", "--l7", "dns"}), 2);
  EXPECT_EQ(lines({"--l7", "http", "--pod", "nobody"}), 0);
  const Outcome json = Run({"flows", "--l7", "http", "-o", "json"});
  const auto flow = nlohmann::json::parse(json.out);
  EXPECT_EQ(flow["kind"], "FLOW_KIND_REQUEST");
  EXPECT_EQ(flow["http"]["method"], "GET");
  EXPECT_EQ(flow["source"]["pod"], "default/client");
  EXPECT_EQ(Run({"flows", "--l7", "smtp"}).code, 2);
}

TEST_F(AgentctlTest, FlowsFollowsUntilTheLimitOrTheTimeout) {
  Serve(testing::SampleSnapshot());
  report::FlowDecoder decoder(publisher_);
  const flow_event event = testing::SampleEvent();
  std::jthread writer([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      hub_.Push(*decoder.Decode(report::EventSource::kFlows, &event, sizeof(event)));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const Outcome limited = Run({"flows", "--follow", "--drops", "--limit", "5", "--last", "0"});
  EXPECT_EQ(limited.code, 0) << limited.err;
  EXPECT_EQ(std::count(limited.out.begin(), limited.out.end(), '\n'), 5);
  EXPECT_THAT(limited.out, HasSubstr("policy-denied"));
  EXPECT_EQ(Run({"flows", "-f", "--timeout", "0.5"}).code, 0);
}

TEST_F(AgentctlTest, WatchRepeatsUntilInterrupted) {
  Serve(testing::SampleSnapshot());
  const pid_t pid = Spawn({"--watch=0.05", "status", "--socket", socket()});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  const auto rounds = [&] {
    const std::string text = testing::ReadAll(directory_.path() + "/out");
    int count = 0;
    for (size_t at = 0; (at = text.find("Bonsai 0.1.0", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  while (rounds() < 3 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GE(rounds(), 3);
  ::kill(pid, SIGINT);
  EXPECT_EQ(Collect(pid).code, -SIGINT);
}

TEST_F(AgentctlTest, CompletionIsReadByBash) {
  const Outcome script = Collect(Spawn({"completion", "bash"}));
  EXPECT_EQ(script.code, 0) << script.err;
  const std::string file = directory_.path() + "/completion";
  std::ofstream(file) << script.out
                      << "COMP_WORDS=(agentctl flows --dr) COMP_CWORD=2; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n"
                      << "COMP_WORDS=(agentctl analyze x.o --ta) COMP_CWORD=3; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n"
                      << "COMP_WORDS=(agentctl analyze x.o -o d) COMP_CWORD=4; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n"
                      << "COMP_WORDS=(agentctl analyze x.o --wh) COMP_CWORD=3; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n"
                      << "COMP_WORDS=(agentctl analyze x.o --why fu) COMP_CWORD=4; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n"
                      << "COMP_WORDS=(agentctl plan --s) COMP_CWORD=2; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n"
                      << "COMP_WORDS=(agentctl pl) COMP_CWORD=1; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n"
                      << "COMP_WORDS=(agentctl fea) COMP_CWORD=1; _agentctl\n"
                      << "echo \"[${COMPREPLY[*]}]\"\n";
  FILE* pipe = ::popen(("bash " + file + " 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char buffer[256] = {};
  const size_t size = std::fread(buffer, 1, sizeof(buffer), pipe);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_EQ(std::string(buffer, size), "[--drops]\n[--tail]\n[dot]\n[--why --what-if]\n[function/]\n[--set --socket]\n[plan]\n[features]\n");
}

}  // namespace
}  // namespace bonsai::cli
