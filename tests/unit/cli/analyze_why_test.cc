// SPDX-License-Identifier: Apache-2.0
// agentctl analyze --why and --what-if: what they say of real objects, and in which form.
#include "agent/cli/analyze_why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/cli/analyze_facts.h"
#include "agent/cli/analyze_json.h"
#include "agent/cli/analyze_why_table.h"
#include "tests/unit/cli/spawn.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kObject = std::string(TEST_BPF_DIR) + "/analyze.clang19-v3-O2.o";
const std::string kDatapath = std::string(BONSAI_BPF_DIR) + "/from_pod.bpf.o";

// Through the text, as a reader gets it.
ordered_json Json(const AnalyzeOptions& options) {
  const auto analysis = Analyze(options);
  EXPECT_TRUE(analysis.ok()) << analysis.status();
  if (!analysis.ok()) return {};
  const auto answers = AnswersTo(options, *analysis);
  EXPECT_TRUE(answers.ok()) << answers.status();
  if (!answers.ok()) return {};
  const std::string text = AnalysisJson(*analysis, FactsOf(*analysis), *answers);
  const auto tree = ordered_json::parse(text, nullptr, false);
  EXPECT_TRUE(tree.is_object()) << text;
  return tree;
}

ordered_json Why(const std::string& what, std::vector<std::string> assignments = {},
                 const std::string& object = kObject) {
  const ordered_json tree = Json(
      {.object = object, .assignments = std::move(assignments), .whys = {what}});
  EXPECT_EQ(tree["why"].size(), 1u) << what;
  return tree["why"].empty() ? ordered_json() : tree["why"][0];
}

std::vector<std::string> Keys(const ordered_json& row) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) keys.push_back(key);
  return keys;
}

ordered_json Change(const char* name, const char* from, const char* to) {
  return {{"name", name}, {"from", from}, {"to", to}};
}

// "kind name" of each step but the branches.
std::vector<std::string> Way(const ordered_json& witness) {
  std::vector<std::string> way;
  for (const ordered_json& step : witness) {
    const std::string kind = step["kind"].get<std::string>();
    if (kind != "branch") way.push_back(kind + " " + step["name"].get<std::string>());
  }
  return way;
}

TEST(AnalyzeWhy, DeadMapHasTheDecidingBranchAndWhatBringsIt) {
  for (const char* variant : {"clang19-v2-O2", "clang19-v4-O2", "clang14-v2-O2"}) {
    const ordered_json why = Why("map/high_map", {}, std::string(TEST_BPF_DIR) + "/analyze." +
                                                         variant + ".o");
    EXPECT_EQ(why["kind"], "map");
    EXPECT_EQ(why["name"], "high_map");
    EXPECT_EQ(why["live"], false);
    EXPECT_EQ(why["referred"], true);
    EXPECT_EQ(why["complete"], true);
    EXPECT_TRUE(why["witness"].empty() && why["cut"].empty() && why["bring_together"].empty());
    ASSERT_EQ(why["deciding"].size(), 1u) << why;
    const ordered_json& branch = why["deciding"][0];
    EXPECT_EQ(branch["kind"], "branch");
    EXPECT_EQ(branch["constants"], ordered_json({{{"name", "__config_level"}, {"value", "3"}}}));
    EXPECT_EQ(branch["taken"], true);  // over the call
    EXPECT_EQ(branch["direct"], true);
    EXPECT_EQ(branch["function"], "start");
    EXPECT_THAT(branch["file"].get<std::string>(), ::testing::EndsWith("/cli/analyze.bpf.c"));
    EXPECT_EQ(branch["line"], 91);
    EXPECT_EQ(branch["text"], "\tif (__config_level > 5)");
    EXPECT_THAT(why["bring"], ::testing::Contains(Change("__config_level", "3", "6")));
  }
}

TEST(AnalyzeWhy, LiveMapHasItsWayAndWhatCutsIt) {
  const ordered_json why = Why("map/second_map", {"first_way=false"});
  EXPECT_EQ(why["live"], true);
  EXPECT_TRUE(why["deciding"].empty() && why["bring"].empty());
  EXPECT_THAT(Way(why["witness"]), ElementsAre("entry start", "reference second_map"));
  const ordered_json& last = why["witness"].back();
  EXPECT_EQ(last["line"], 99);
  EXPECT_EQ(last["text"], "\t\tUSE(second_map);");
  const ordered_json& branch = why["witness"][why["witness"].size() - 2];
  EXPECT_EQ(branch["kind"], "branch");
  EXPECT_EQ(branch["constants"],
            ordered_json({{{"name", "__config_first_way"}, {"value", "false"}}}));
  EXPECT_EQ(branch["needed"], true);
  EXPECT_EQ(branch["taken"], true);
  EXPECT_EQ(branch["line"], 95);
  // Not cut by it: program one, which then lives, may jump to program two.
  EXPECT_TRUE(why["cut"].empty()) << why["cut"];
  const ordered_json first = Why("map/first_map");
  EXPECT_EQ(first["cut"], ordered_json::array({Change("__config_first_way", "true", "false")}));
  EXPECT_TRUE(first["bring"].empty());
}

TEST(AnalyzeWhy, TailCallsAndHeldMapsAreSteps) {
  const ordered_json program = Why("program/one");
  EXPECT_THAT(Way(program["witness"]), ElementsAre("entry start", "tail_call one"));
  EXPECT_EQ(program["witness"].back()["tail"], ordered_json({{"map", "calls"}, {"slot", 1}}));
  EXPECT_EQ(program["witness"].front()["tail"], nullptr);
  EXPECT_THAT(Way(Why("map/inner_map")["witness"]),
              ElementsAre("entry start", "reference outer_map", "held inner_map"));
  EXPECT_THAT(Way(Why("function/each")["witness"]), ElementsAre("entry start", "callback each"));
  EXPECT_THAT(Way(Why("function/high", {"level=6"})["witness"]),
              ElementsAre("entry start", "call high"));
}

TEST(AnalyzeWhy, CombinationIsFoundWhenNoSingleChangeBringsIt) {
  const ordered_json why = Why(
      "program/fp_lb4", {"enable_load_balancer=false", "enable_ipv4=false"}, kDatapath);
  EXPECT_TRUE(why["bring"].empty()) << why["bring"];
  EXPECT_THAT(why["bring_together"],
              ::testing::UnorderedElementsAre(Change("enable_ipv4", "false", "true"),
                                              Change("enable_load_balancer", "false", "true")));
}

TEST(AnalyzeWhy, WhatNothingRefersToHasNoDecidingPlace) {
  const ordered_json why = Why("map/unused_map");
  EXPECT_EQ(why["live"], false);
  EXPECT_EQ(why["referred"], false);
  EXPECT_TRUE(why["deciding"].empty());
}

TEST(AnalyzeWhy, AnswersKeepTheGivenEntries) {
  AnalyzeOptions options{.object = kObject, .entries = {"start", "two"}, .whys = {"program/two"}};
  const ordered_json named = Json(options)["why"];
  ASSERT_EQ(named.size(), 1u);
  EXPECT_THAT(Way(named[0]["witness"]), ElementsAre("entry two"));  // not over program one
  options.entries = {"two"};
  options.whys = {"map/second_map", "map/high_map"};
  const ordered_json alone = Json(options)["why"];
  ASSERT_EQ(alone.size(), 2u);
  EXPECT_THAT(Way(alone[0]["witness"]), ElementsAre("entry two", "reference second_map"));
  EXPECT_EQ(alone[1]["name"], "high_map");
  EXPECT_EQ(alone[1]["live"], false);
  // No constant makes program start run.
  EXPECT_TRUE(alone[1]["bring"].empty() && alone[1]["bring_together"].empty()) << alone[1];
}

TEST(AnalyzeWhy, WhatIfHasEachChangeAndWhatComesAndGoes) {
  const ordered_json tree = Json({.object = kObject, .what_if = true});
  EXPECT_FALSE(tree.contains("why"));
  const ordered_json& what_if = tree["what_if"];
  EXPECT_THAT(Keys(what_if),
              ElementsAre("seconds", "analyses", "changes", "unread", "not_numbers"));
  EXPECT_GT(what_if["seconds"], 0);
  EXPECT_EQ(what_if["analyses"], what_if["changes"].size() + 1);
  EXPECT_EQ(what_if["not_numbers"], ordered_json({"__config_limits", "__config_word"}));
  ordered_json flip = Change("__config_first_way", "true", "false");
  flip["gone"] = {{"maps", {"first_map"}}, {"programs", {"one"}}, {"functions", {"one"}}};
  flip["come"] = {{"maps", ordered_json::array()}, {"programs", ordered_json::array()},
                  {"functions", ordered_json::array()}};
  EXPECT_THAT(what_if["changes"], ::testing::Contains(flip));
  ordered_json level = Change("__config_level", "3", "6");
  level["gone"] = flip["come"];
  level["come"] = {{"maps", {"high_map"}}, {"programs", ordered_json::array()},
                   {"functions", {"high"}}};
  EXPECT_THAT(what_if["changes"], ::testing::Contains(level));
}

TEST(AnalyzeWhy, JsonHasNoNewKeyUnlessAsked) {
  const ordered_json plain = Json({.object = kObject});
  EXPECT_FALSE(plain.contains("why") || plain.contains("what_if"));
  std::vector<std::string> keys = Keys(plain);
  keys.insert(keys.end() - 1, {"why", "what_if"});
  const ordered_json asked = Json({.object = kObject, .whys = {"map/both"}, .what_if = true});
  EXPECT_EQ(Keys(asked), keys);
  EXPECT_THAT(Keys(asked["why"][0]),
              ElementsAre("kind", "name", "live", "referred", "deciding", "complete", "witness",
                          "bring", "bring_together", "cut"));
}

TEST(AnalyzeWhy, NamesOfTheObjectCannotCommandATerminal) {
  AnalyzeOptions options{.object = kObject};
  auto analysis = Analyze(options);
  ASSERT_TRUE(analysis.ok()) << analysis.status();
  const std::string hostile = "\033[31m\"\n\xff";
  for (auto& map : analysis->object.maps) map.name += hostile;
  for (auto& program : analysis->object.programs) program.name += hostile;
  for (auto& function : analysis->object.functions) function.name += hostile;
  for (auto& constant : analysis->object.constants) constant.name += hostile;
  options.whys = {"map/first_map" + hostile, "map/high_map" + hostile, "function/high" + hostile};
  options.what_if = true;
  const auto answers = AnswersTo(options, *analysis);
  ASSERT_TRUE(answers.ok()) << answers.status();
  const std::string table = AnswersTable(*analysis, *answers, {.colour = false});
  EXPECT_THAT(table, HasSubstr("map first_map?[31m\"?\xff is live\n"));
  EXPECT_EQ(table.find('\033'), std::string::npos);
  const auto tree = ordered_json::parse(AnalysisJson(*analysis, FactsOf(*analysis), *answers),
                                        nullptr, false);
  ASSERT_TRUE(tree.is_object());
  EXPECT_EQ(tree["why"][0]["name"], "first_map\033[31m\"\n\xef\xbf\xbd");
}

class AnalyzeWhyCommandTest : public ::testing::Test {
 protected:
  testing::Outcome Run(std::vector<std::string> words) const {
    words.insert(words.begin(), {"analyze", kObject});
    return testing::CollectAgentctl(testing::SpawnAgentctl(words, directory_.path()),
                                    directory_.path());
  }
  testing::TemporaryDirectory directory_;
};

TEST_F(AnalyzeWhyCommandTest, TableHasTheAnswersInTheOrderAsked) {
  const testing::Outcome outcome =
      Run({"--why", "map/high_map", "--why=map/first_map", "--why", "map/unused_map"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(StartsWith("map high_map is dead\nDECIDED BY "),
                    ContainsRegex("\n__config_level = 3 +jump taken +start\\+[0-9]+ +"
                                  "analyze.bpf.c:91 +if \\(__config_level > 5\\)\n"),
                    HasSubstr("\nBrought by any one of\n"),
                    HasSubstr("\n  __config_level=6  (now 3)\n"),
                    ContainsRegex("\n\nmap first_map is live\nWAY TO IT .*\nstart of start +start"),
                    ContainsRegex("\n__config_first_way = true, jump not taken +start.*:95 "),
                    HasSubstr("\nCut by any one of\n  __config_first_way=false  (now true)\n"),
                    HasSubstr("\n\nmap unused_map is dead\nNothing refers to it.\n")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("instructions can be reached")));
}

TEST_F(AnalyzeWhyCommandTest, WhatIfTableHasOneRowForEachEffect) {
  const testing::Outcome outcome = Run({"--what-if"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(ContainsRegex("^[0-9]+ changes of a single constant tried in [0-9.]+ ms\n"),
                    ContainsRegex("\n__config_first_way=false +true +gone +map +first_map\n"),
                    ContainsRegex("\n__config_first_way=false +true +gone +program +one\n"),
                    ContainsRegex("\n__config_level=6 +3 +come +function +high\n"),
                    ContainsRegex("\n__config_bias=0 +-3 +none +- +-\n")));
}

TEST_F(AnalyzeWhyCommandTest, YamlHasTheAnswersToo) {
  const testing::Outcome outcome = Run({"--why", "map/high_map", "--what-if", "-o", "yaml"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("\nwhy:\n"), HasSubstr("\nwhat_if:\n")));
}

TEST_F(AnalyzeWhyCommandTest, RefusesWhatTheObjectDoesNotHave) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"both", "--why both: expected KIND/NAME, KIND map, program or function"},
      {"", "expected KIND/NAME"},
      {"mpa/both", "no kind \"mpa\"; the nearest is map"},
      {"Function/high", "no kind \"Function\"; the nearest is function"},
      {"map/bth", "--why map/bth: no such name; the nearest is both"},
      {"map/", "no such name; the nearest is "},
      {"program/high", "no such name; the nearest is "},
      {"function/hihg\n\033[31m", "--why function/hihg\\n\\x1b[31m: no such name"}};
  for (const auto& [why, cause] : cases) {
    for (const char* format : {"table", "json"}) {
      const testing::Outcome outcome = Run({"--why", why, "-o", format});
      EXPECT_EQ(outcome.code, 2) << why;
      EXPECT_EQ(outcome.out, "") << why;
      EXPECT_THAT(outcome.err, AllOf(StartsWith("agentctl: " + kObject + ": --why "),
                                     HasSubstr(cause)));
      EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    }
  }
  for (const char* flag : {"--why=map/both", "--what-if"}) {
    const testing::Outcome graph = Run({flag, "-o", "dot"});
    EXPECT_EQ(graph.code, 2) << flag;
    EXPECT_EQ(graph.err, "agentctl: --why and --what-if are not for -o dot\n");
  }
}

TEST_F(AnalyzeWhyCommandTest, HelpNamesTheQuestions) {
  const testing::Outcome help = Run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, AllOf(ContainsRegex("--why KIND/NAME"), HasSubstr("--what-if")));
}

}  // namespace
}  // namespace bonsai::cli
