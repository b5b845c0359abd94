// SPDX-License-Identifier: Apache-2.0
// agentctl analyze as a process: forms of output, messages and exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/unit/cli/spawn.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::Outcome;

class AnalyzeCommandTest : public ::testing::Test {
 protected:
  // analyze OBJ words...
  Outcome Run(const std::string& object, std::vector<std::string> words) const {
    words.insert(words.begin(), {"analyze", object});
    return testing::CollectAgentctl(testing::SpawnAgentctl(words, directory_.path()),
                                    directory_.path());
  }
  std::string File(const std::string& name, const std::string& content) const {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  // One line on stderr that begins like all of ours and has `cause`, nothing on stdout, and 2.
  static void ExpectRefused(const Outcome& outcome, const std::string& cause) {
    EXPECT_EQ(outcome.code, 2) << cause << ": " << outcome.err;
    EXPECT_EQ(outcome.out, "") << cause;
    EXPECT_THAT(outcome.err, StartsWith("agentctl: "));
    EXPECT_THAT(outcome.err, HasSubstr(cause));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }

  const std::string object_ = std::string(TEST_BPF_DIR) + "/analyze.clang19-v3-O2.o";
  const std::string kinds_ = std::string(TEST_BPF_DIR) + "/kinds.clang19-v3-O2.o";
  const std::string datapath_ = std::string(BONSAI_BPF_DIR) + "/from_pod.bpf.o";
  testing::TemporaryDirectory directory_;
};

TEST_F(AnalyzeCommandTest, EveryFormOfOutput) {
  const Outcome json = Run(object_, {"-o", "json"});
  EXPECT_EQ(json.code, 0) << json.err;
  EXPECT_TRUE(nlohmann::json::accept(json.out)) << json.out;
  const Outcome yaml = Run(object_, {"-o", "yaml"});
  EXPECT_EQ(yaml.code, 0) << yaml.err;
  EXPECT_THAT(yaml.out, StartsWith("object: \"" + object_ + "\"\n"));
  const Outcome dot = Run(object_, {"-o", "dot"});
  EXPECT_EQ(dot.code, 0) << dot.err;
  EXPECT_THAT(dot.out, StartsWith("digraph \"" + object_ + "\" {\n"));
  const Outcome table = Run(object_, {});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr(" instructions can be reached\n"));
  EXPECT_EQ(json.err + yaml.err + dot.err + table.err, "");
}

TEST_F(AnalyzeCommandTest, ShowsWhatConstantsLeaveAlive) {
  const Outcome table = Run(datapath_, {"--set", "enable-conntrack=false"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, ContainsRegex("\nct4 +conntrack +.*enable_conntrack = false"));
  const Outcome json = Run(datapath_, {"-o", "json"});
  const auto analysis = nlohmann::json::parse(json.out, nullptr, false);
  const auto ct4 = std::find_if(analysis["maps"].begin(), analysis["maps"].end(),
                                [](const auto& map) { return map["name"] == "ct4"; });
  ASSERT_NE(ct4, analysis["maps"].end());
  EXPECT_EQ((*ct4)["live"], true);
}

TEST_F(AnalyzeCommandTest, OptionsMayBeGivenSeveralTimes) {
  const Outcome outcome =
      Run(object_, {"--set", "level=9", "--set=bias=-128", "--tail", "calls:3=three", "--tail",
                    "calls:4=three", "--entry", "start", "--entry", "two", "-o", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("{\"name\":\"__config_level\",\"value\":9}"));
  EXPECT_THAT(outcome.out, HasSubstr("{\"name\":\"__config_bias\",\"value\":-128}"));
}

TEST_F(AnalyzeCommandTest, RefusesBadObjects) {
  ExpectRefused(Run("/nonexistent.bpf.o", {}), "/nonexistent.bpf.o: cannot open");
  ExpectRefused(Run("/etc/passwd", {}), "reading object /etc/passwd: ");
  ExpectRefused(Run(directory_.path(), {}), "is a directory");
  ExpectRefused(Run(File("empty", ""), {}), "empty");
  std::string whole = testing::ReadAll(datapath_);
  ExpectRefused(Run(File("half.o", whole.substr(0, whole.size() / 2)), {}), "offset");
  whole[5] = 2;  // EI_DATA: big-endian
  ExpectRefused(Run(File("big.o", whole), {}), "big.o");
  ExpectRefused(Run("", {}), "");
}

TEST_F(AnalyzeCommandTest, RefusesBadValues) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"first_way", "expected NAME=VALUE"},
      {"=1", "expected NAME=VALUE"},
      {"first_way=maybe", "\"maybe\" is no number; allowed is true or false"},
      {"first_way=", "no number"},
      {"first_way=2", "out of range; allowed is true or false"},
      {"bias=128", "allowed is -128..127"},
      {"bias=-129", "allowed is -128..127"},
      {"level=-1", "allowed is 0..18446744073709551615"},
      {"level=0x1ffffffffffffffff", "out of range; allowed is 0..18446744073709551615"},
      {"plain=4294967296", "allowed is 0..4294967295"},
      {"plain=0b2", "no number"},
      {"plain=1e3", "no number"},
      {"levle=1", "the nearest is __config_level"},
      {"limits=5", "it is no number; give its 16 bytes as hex:BYTES"},
      {"word=hex:000009", "3 bytes given, it has 4"},
      {"word=hex:0000090000", "5 bytes given, it has 4"},
      {"word=hex:000", "pairs of hexadecimal digits"},
      {"word=hex:0x090000", "pairs of hexadecimal digits"},
      {"limits.low=65536", "allowed is 0..65535"},
      {"limits.narrow=32", "allowed is 0..31"},
      {"limits.tiny=4", "allowed is -4..3"},
      {"limits.part.list[4]=1", "limits"},
      {"limits.part.none=1", "none"},
      {"plain.field=1", "plain"},
      {"first_way=1\nplain=2", "no number"}};
  for (const auto& [assignment, cause] : cases) {
    const Outcome outcome = Run(object_, {"--set", assignment});
    ExpectRefused(outcome, cause);
    EXPECT_THAT(outcome.err, HasSubstr(object_)) << assignment;
  }
}

TEST_F(AnalyzeCommandTest, RefusesBadConfigs) {
  ExpectRefused(Run(object_, {"--config", "/nonexistent"}), "/nonexistent: No such file");
  ExpectRefused(Run(object_, {"--config", directory_.path()}), "not a readable file");
  ExpectRefused(Run(object_, {"--config", File("a", "levle: 3")}), "nearest is __config_level");
  ExpectRefused(Run(object_, {"--config", File("b", "level: many")}), "b: setting constant level");
  ExpectRefused(Run(object_, {"--config", File("c", "a: {b: 1}\nc: {d: 1}")}), "c:1: a: a nested");
  ExpectRefused(Run(object_, {"--config", File("d", "a: [")}), "not YAML");
  ExpectRefused(Run(object_, {"--config", File("e", std::string(2 << 20, '#'))}), "larger than");
  ExpectRefused(Run(object_, {"--config"}), "--config");
}

TEST_F(AnalyzeCommandTest, RefusesBadSections) {
  const auto given = [&](const std::string& section, const std::string& bytes) {
    return Run(object_, {"--section", section + "=@" + File("bytes", bytes)});
  };
  ExpectRefused(given(".rodata", "12345"), "5 bytes given, it has 4 bytes");
  ExpectRefused(given(".rodata", ""), "0 bytes given, it has 4 bytes");
  ExpectRefused(given(".data", "1234"), "programs may write to it");
  ExpectRefused(given(".rodate", "1234"), "the read-only ones are .rodata, .rodata.config");
  ExpectRefused(Run(object_, {"--section", ".rodata=bytes"}), "expected SECTION=@FILE");
  ExpectRefused(Run(object_, {"--section", ".rodata=@"}), "expected SECTION=@FILE");
  ExpectRefused(Run(object_, {"--section", ".rodata=@/nonexistent"}), "No such file");
}

TEST_F(AnalyzeCommandTest, RefusesBadTailsAndEntries) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"calls:1", "expected MAP:SLOT=PROG"},
      {"calls=one", "expected MAP:SLOT=PROG"},
      {":1=one", "expected MAP:SLOT=PROG"},
      {"calls:one=one", "\"one\" is no slot number"},
      {"calls:-1=one", "no slot number"},
      {"calls:8=one", "map calls has the slots 0..7"},
      {"calls:99999999999=one", "map calls has the slots 0..7"},
      {"cals:1=one", "no map \"cals\"; the nearest is calls"},
      {"both:1=one", "map both is no program array"},
      {"calls:1=oen", "no program \"oen\"; the nearest is one"},
      {"calls:1=high", "no program \"high\""}};
  for (const auto& [tail, cause] : cases) ExpectRefused(Run(object_, {"--tail", tail}), cause);
  ExpectRefused(Run(kinds_, {"--tail", "calls:2=tagged"}), "slot 2 of calls holds jumped_to");
  ExpectRefused(Run(object_, {"--entry", "strat"}), "no such program; the nearest is start");
  ExpectRefused(Run(object_, {"--entry", "high"}), "no such program");
}

TEST_F(AnalyzeCommandTest, RefusesBadFlags) {
  ExpectRefused(Run(object_, {"-o", "xml"}), "xml");
  ExpectRefused(Run(object_, {"--watch"}), "--watch is not for analyze");
  ExpectRefused(Run(object_, {"--frobnicate"}), "--frobnicate");
  ExpectRefused(Run(object_, {object_}), object_);
  ExpectRefused(Run("-o", {"json"}), "OBJ is required");
}

TEST_F(AnalyzeCommandTest, FailsWhenItsOutputIsCutShort) {
  const std::string err = directory_.path() + "/err";
  const std::string command = std::string(BONSAI_BIN_DIR) + "/agentctl analyze " + object_ +
                              " -o json > /dev/full 2> " + err;
  const int status = std::system(command.c_str());
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(testing::ReadAll(err), HasSubstr("could not be written"));
}

TEST_F(AnalyzeCommandTest, HelpNamesEveryOption) {
  const Outcome help = Run("--help", {});
  EXPECT_EQ(help.code, 0);
  for (const char* text : {"OBJ", "--set", "--config", "--section", "--tail", "--entry", "hex:BYTES",
                           "SECTION=@FILE", "MAP:SLOT=PROG", "passed over"}) {
    EXPECT_THAT(help.out, HasSubstr(text));
  }
}

}  // namespace
}  // namespace bonsai::cli
