// SPDX-License-Identifier: Apache-2.0
// `agentctl explain` offline: the shipped objects, no agent, no root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/unit/cli/spawn.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Outcome;

class ExplainCommand : public ::testing::Test {
 protected:
  Outcome Run(std::vector<std::string> words) const {
    words.insert(words.begin(), {"explain", "--objects", BONSAI_BPF_DIR});
    return testing::CollectAgentctl(testing::SpawnAgentctl(words, directory_.path()),
                                    directory_.path());
  }
  nlohmann::json Json(std::vector<std::string> words) const {
    words.insert(words.end(), {"-o", "json"});
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_.path() + "/" + name) << text;
    return directory_.path() + "/" + name;
  }

  testing::TemporaryDirectory directory_;
};

TEST_F(ExplainCommand, ShowsTheWayToWhatExistsAndWhatRemovesIt) {
  const Outcome outcome = Run({"map", "ct4"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("map ct4 exists: "), HasSubstr("start of from_pod"),
                                 HasSubstr("enable-conntrack = true, jump taken"),
                                 HasSubstr("pod.h:"), HasSubstr("Any one of these removes it"),
                                 HasSubstr("enable-conntrack=false")));
}

TEST_F(ExplainCommand, ShowsWhatDecidesAgainstWhatDoesNotExistAndWhatItWouldCost) {
  const Outcome outcome = Run({"map", "services4"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("does not exist; it would take "),
                    HasSubstr("enable-load-balancer = false"), HasSubstr("from_pod.bpf.c:"),
                    HasSubstr("Any one of these brings it"), HasSubstr("enable-load-balancer=true")));
  const auto json = Json({"map", "services4"});
  const auto& effect = json["thing"]["alone"][0];
  EXPECT_EQ(effect["changes"][0]["setting"], "enable-load-balancer");
  EXPECT_GT(std::stoll(effect["map_bytes"].get<std::string>()),
            std::stoll(json["thing"]["bytes"].get<std::string>()));
  EXPECT_GT(std::stoll(effect["instructions"].get<std::string>()), 0);
}

TEST_F(ExplainCommand, TakesAConfigurationFromAFileADirectoryAndTheCommandLine) {
  const std::string file = Write("config.yaml", "enable-policy: true\n");
  EXPECT_THAT(Run({"-f", file, "map", "policy"}).out, HasSubstr("map policy exists"));
  EXPECT_THAT(Run({"-f", file, "--set", "enable-policy=false", "map", "policy"}).out,
              HasSubstr("map policy does not exist"));
  std::string made = directory_.path() + "/configmap";
  ASSERT_EQ(::mkdir(made.c_str(), 0755), 0);
  Write("configmap/enable-policy", "true\n");
  EXPECT_THAT(Run({"-f", made, "map", "policy"}).out, HasSubstr("map policy exists"));
  EXPECT_EQ(Json({"--set", "ct-entries=4096", "setting", "ct-entries"})["setting"]["setting"]["value"],
            "4096");
}

TEST_F(ExplainCommand, ShowsWhatHangsOnASetting) {
  const Outcome outcome = Run({"setting", "enable-policy"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("setting enable-policy = false (default), feature policy"),
                    HasSubstr("Needs enable-conntrack."), HasSubstr("of class reload"),
                    HasSubstr("from_pod.bpf.c:"), HasSubstr("enable-policy=true"),
                    HasSubstr("ipcache4")));
  EXPECT_THAT(Run({"--set", "enable-policy=yes", "setting", "enable_policy"}).out,
              HasSubstr("enable-policy = true (configured)"));
  EXPECT_THAT(Run({"setting", "ct-entries"}).out,
              AllOf(HasSubstr("of class migrate"), HasSubstr("size of map ct4, ct6")));
}

TEST_F(ExplainCommand, ListsNamesWithoutOne) {
  for (const char* kind : {"map", "program", "function", "setting"}) {
    const Outcome names = Run({kind});
    EXPECT_EQ(names.code, 0) << names.err;
    EXPECT_GT(std::count(names.out.begin(), names.out.end(), '\n'), 10) << kind;
    const std::string first = names.out.substr(0, names.out.find('\n'));
    EXPECT_EQ(Run({kind, first}).code, 0) << kind << " " << first;
  }
}

TEST_F(ExplainCommand, SaysInOneLineWhatCannotBe) {
  const std::vector<std::pair<std::vector<std::string>, const char*>> cases = {
      {{"map", "ct44"}, "the nearest is ct4"},
      {{"map", "\x1b[2J\nx"}, "\\x1b[2J\\nx"},
      {{"thing", "ct4"}, "thing"},
      {{"map", "ct4", "more"}, "more"},
      {{"map", "ct4", "--set", "enable-polcy=true"}, "enable-policy"},
      {{"map", "ct4", "--set", "enable-policy"}, "KEY=VALUE"},
      {{"map", "ct4", "--set", "enable-conntrack=false", "--set", "enable-policy=true"}, "enable-conntrack"},
      {{"map", "ct4", "-f", "/nonexistent/config"}, "/nonexistent/config"},
      {{"map", "ct4", "--set", "ct-entries=3"}, "1024..16777216"},
  };
  for (const auto& [words, text] : cases) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(words);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr(text));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST_F(ExplainCommand, EveryFormHasTheSameAnswer) {
  const auto json = Json({"program", "xdp_prefilter"});
  EXPECT_TRUE(json["thing"]["objects"][0]["inert"]);
  const Outcome yaml = Run({"program", "xdp_prefilter", "-o", "yaml"});
  EXPECT_THAT(yaml.out, AllOf(HasSubstr("inert: true"), HasSubstr("setting: \"enable-prefilter\"")));
  EXPECT_THAT(Run({"program", "xdp_prefilter"}).out,
              AllOf(HasSubstr("could only let every packet pass"), Not(HasSubstr("more such places"))));
}

TEST_F(ExplainCommand, NamesAreCompletedByBash) {
  const Outcome script = testing::CollectAgentctl(
      testing::SpawnAgentctl({"completion", "bash"}, directory_.path()), directory_.path());
  const std::string agentctl = BONSAI_BIN_DIR "/agentctl";
  const std::string offline = " --objects " BONSAI_BPF_DIR;
  const auto complete = [&](const std::string& words, int at) {
    const std::string file = Write("completion", script.out + "COMP_WORDS=(" + agentctl + " " + words +
                                   ") COMP_CWORD=" + std::to_string(at) +
                                   "; _agentctl\necho \"${COMPREPLY[*]}\"\n");
    FILE* pipe = ::popen(("bash " + file + " 2>&1").c_str(), "r");
    char buffer[512] = {};
    const size_t size = std::fread(buffer, 1, sizeof(buffer), pipe);
    EXPECT_EQ(::pclose(pipe), 0);
    return std::string(buffer, size);
  };
  EXPECT_EQ(complete("explain se", 2), "setting\n");
  EXPECT_EQ(complete("explain" + offline + " map ct", 5), "ct4 ct4_old ct6 ct6_old\n");
  EXPECT_EQ(complete("explain" + offline + " setting enable-po", 5), "enable-policy\n");
  EXPECT_EQ(complete("explain map ct4 --obj", 4), "--objects\n");
}

}  // namespace
}  // namespace bonsai::cli
