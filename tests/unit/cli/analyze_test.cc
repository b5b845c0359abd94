// SPDX-License-Identifier: Apache-2.0
// What analyze says of real objects, and that the JSON form keeps its contract.
#include "agent/cli/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "agent/cli/analyze_json.h"
#include "agent/cli/analyze_table.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Kind = ordered_json::value_t;

// The keys of `row` and the kinds of their values; every key of the contract, and which may be added.
void ExpectRow(const ordered_json& row, const std::vector<std::pair<std::string, Kind>>& wanted,
               const std::set<std::string>& added = {}) {
  ASSERT_TRUE(row.is_object()) << row;
  std::set<std::string> known = added;
  for (const auto& [key, kind] : wanted) {
    known.insert(key);
    ASSERT_TRUE(row.contains(key)) << key << " in " << row;
    EXPECT_EQ(row[key].type(), kind) << key << " in " << row;
  }
  for (const auto& [key, value] : row.items()) EXPECT_TRUE(known.contains(key)) << key;
}

std::vector<std::string> Names(const ordered_json& rows) {
  std::vector<std::string> names;
  for (const ordered_json& row : rows) {
    names.push_back((row.is_object() ? row["name"] : row).get<std::string>());
  }
  return names;
}

const ordered_json& Row(const ordered_json& rows, const std::string& name) {
  for (const ordered_json& row : rows) {
    if (row["name"] == name) return row;
  }
  static const ordered_json kNone;
  ADD_FAILURE() << "nothing is called " << name;
  return kNone;
}

bool IsLive(const ordered_json& rows, const std::string& name) {
  const ordered_json& row = Row(rows, name);
  return row.is_object() && row["live"].get<bool>();
}

// Slots of inclusive ranges that ascend, do not touch and lie within the function.
uint64_t ExpectRanges(const ordered_json& function) {
  uint64_t slots = 0;
  int64_t before = -2;
  for (const ordered_json& range : function["live"]) {
    EXPECT_EQ(range.size(), 2u);
    const int64_t first = range[0].get<int64_t>(), last = range[1].get<int64_t>();
    EXPECT_GT(first, before + 1) << function;
    EXPECT_GE(last, first) << function;
    EXPECT_LT(last, function["slots"].get<int64_t>()) << function;
    before = last;
    slots += static_cast<uint64_t>(last - first + 1);
  }
  return slots;
}

void ExpectProgram(const ordered_json& program, const std::vector<std::string>& functions,
                   const std::vector<std::string>& maps) {
  ExpectRow(program,
            {{"name", Kind::string}, {"section", Kind::string}, {"kind", Kind::string},
             {"live", Kind::boolean}, {"slots", Kind::number_unsigned},
             {"live_slots", Kind::number_unsigned}, {"functions", Kind::array},
             {"maps", Kind::object}, {"tail_calls", Kind::array}},
            {"reason"});
  EXPECT_THAT(program["kind"], ::testing::AnyOf("entry", "tail"));
  uint64_t slots = 0, live = 0;
  for (const ordered_json& function : program["functions"]) {
    ExpectRow(function, {{"name", Kind::string}, {"slots", Kind::number_unsigned},
                         {"live", Kind::array}});
    EXPECT_THAT(functions, ::testing::Contains(function["name"]));
    slots += function["slots"].get<uint64_t>();
    live += ExpectRanges(function);
  }
  EXPECT_EQ(program["slots"], slots);
  EXPECT_EQ(program["live_slots"], live);
  EXPECT_EQ(program["live"].get<bool>(), live != 0);
  EXPECT_EQ(program["functions"][0]["name"], program["name"]);
  ExpectRow(program["maps"], {{"live", Kind::array}, {"dead", Kind::array}});
  std::set<std::string> seen;
  for (const char* state : {"live", "dead"}) {
    for (const std::string& map : Names(program["maps"][state])) {
      EXPECT_THAT(maps, ::testing::Contains(map));
      EXPECT_TRUE(seen.insert(map).second) << map << " twice in " << program["name"];
    }
  }
  for (const ordered_json& call : program["tail_calls"]) {
    ExpectRow(call, {{"map", Kind::string}, {"slot", Kind::number_unsigned},
                     {"live", Kind::boolean}});
  }
}

void ExpectContract(const ordered_json& tree) {
  ExpectRow(tree,
            {{"object", Kind::string}, {"constants", Kind::array}, {"programs", Kind::array},
             {"maps", Kind::array}, {"functions", Kind::array}, {"seconds", Kind::object}},
            {"live_instructions", "total_instructions"});
  for (const ordered_json& constant : tree["constants"]) {
    ASSERT_EQ(constant.size(), 2u) << constant;
    ASSERT_TRUE(constant["name"].is_string());
    const ordered_json& value = constant["value"];
    EXPECT_TRUE(value.is_boolean() || value.is_number_integer() || value.is_string()) << constant;
    const bool is_text = value.is_string();
    EXPECT_TRUE(!is_text || value.get<std::string>().starts_with("hex:")) << constant;
  }
  for (const ordered_json& program : tree["programs"]) {
    ExpectProgram(program, Names(tree["functions"]), Names(tree["maps"]));
  }
  for (const ordered_json& map : tree["maps"]) {
    ExpectRow(map, {{"name", Kind::string}, {"live", Kind::boolean}, {"reason", Kind::string}},
              {"feature"});
    EXPECT_NE(map["reason"], "") << map;
  }
  for (const ordered_json& function : tree["functions"]) {
    ExpectRow(function, {{"name", Kind::string}, {"live", Kind::boolean}});
  }
  ExpectRow(tree["seconds"], {{"read", Kind::number_float}, {"analyse", Kind::number_float}});
  EXPECT_GT(tree["seconds"]["read"], 0);
  EXPECT_GT(tree["seconds"]["analyse"], 0);
}

// Through the text, as a reader gets it.
ordered_json Json(const AnalyzeOptions& options) {
  const auto analysis = Analyze(options);
  EXPECT_TRUE(analysis.ok()) << analysis.status();
  if (!analysis.ok()) return {};
  const std::string text = AnalysisJson(*analysis, FactsOf(*analysis));
  const auto tree = ordered_json::parse(text, nullptr, false);
  EXPECT_TRUE(tree.is_object()) << text;
  return tree;
}

class AnalyzeTest : public ::testing::TestWithParam<std::string> {
 protected:
  AnalyzeOptions Options() const {
    return {.object = std::string(TEST_BPF_DIR) + "/analyze." + GetParam() + ".o"};
  }
  ordered_json Set(std::vector<std::string> assignments) const {
    AnalyzeOptions options = Options();
    options.assignments = std::move(assignments);
    return Json(options);
  }
  std::string File(const std::string& name, const std::string& content) const {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  testing::TemporaryDirectory directory_;
};

TEST_P(AnalyzeTest, JsonKeepsTheContract) {
  AnalyzeOptions options = Options();
  const ordered_json tree = Json(options);
  ExpectContract(tree);
  EXPECT_EQ(tree["object"], options.object);
  EXPECT_THAT(Names(tree["programs"]), UnorderedElementsAre("start", "one", "two", "three"));
  EXPECT_EQ(tree["maps"].size(), 9u);
  options.assignments = {"first_way=false"};
  ExpectContract(Json(options));  // with a dead program
}

TEST_P(AnalyzeTest, ConstantsHaveTheirTypes) {
  const ordered_json constants = Set({"level=0xffffffffffffffff"})["constants"];
  EXPECT_EQ(Row(constants, "__config_first_way")["value"], true);
  EXPECT_EQ(Row(constants, "__config_level")["value"], UINT64_MAX);
  EXPECT_EQ(Row(constants, "__config_bias")["value"], -3);
  EXPECT_EQ(Row(constants, "plain")["value"], 5);
  EXPECT_EQ(Row(constants, "__config_word")["value"], "hex:07000000");
  EXPECT_THAT(Row(constants, "__config_limits")["value"].get<std::string>(),
              ::testing::StartsWith("hex:01000000feffffff0102030400f1"));
}

TEST_P(AnalyzeTest, ShowsWhatTheObjectItselfLeavesAlive) {
  const ordered_json tree = Set({});
  for (const char* map : {"both", "first_map", "second_map", "calls", "outer_map", "inner_map"}) {
    EXPECT_TRUE(IsLive(tree["maps"], map)) << map;
  }
  for (const char* map : {"high_map", "field_map", "unused_map"}) {
    EXPECT_FALSE(IsLive(tree["maps"], map)) << map;
  }
  EXPECT_EQ(Row(tree["maps"], "first_map")["reason"], "used by start");
  EXPECT_EQ(Row(tree["maps"], "both")["reason"], "used by start and 2 others");
  EXPECT_EQ(Row(tree["maps"], "inner_map")["reason"], "held by outer_map");
  EXPECT_EQ(Row(tree["maps"], "unused_map")["reason"], "nothing refers to it");
  EXPECT_THAT(Row(tree["maps"], "high_map")["reason"], HasSubstr("__config_level = 3"));

  const ordered_json& start = Row(tree["programs"], "start");
  EXPECT_EQ(start["section"], "tc/of-any-name");
  EXPECT_EQ(start["kind"], "entry");
  EXPECT_THAT(Names(start["functions"]), UnorderedElementsAre("start", "each", "high"));
  EXPECT_TRUE(Row(start["functions"], "high")["live"].empty());
  const ordered_json& each = Row(start["functions"], "each");
  EXPECT_EQ(each["live"], ordered_json::array({{0, each["slots"].get<int>() - 1}}));
  EXPECT_THAT(Names(start["maps"]["live"]),
              UnorderedElementsAre("both", "first_map", "outer_map", "calls"));
  EXPECT_THAT(Names(start["maps"]["dead"]), UnorderedElementsAre("field_map", "second_map"));
  EXPECT_FALSE(IsLive(tree["functions"], "high"));
  EXPECT_TRUE(IsLive(tree["functions"], "each"));
}

TEST_P(AnalyzeTest, DeadProgramHasNothingAlive) {
  const ordered_json tree = Set({"__config_first_way=false"});
  const ordered_json& one = Row(tree["programs"], "one");
  EXPECT_EQ(one["live"], false);
  EXPECT_EQ(one["kind"], "tail");
  EXPECT_EQ(one["live_slots"], 0);
  EXPECT_GT(one["slots"], 0);
  EXPECT_EQ(one["functions"].size(), 1u);
  EXPECT_TRUE(one["functions"][0]["live"].empty());
  EXPECT_TRUE(one["maps"]["live"].empty());
  EXPECT_TRUE(one["maps"]["dead"].empty());
  EXPECT_NE(one["reason"], "");
  const ordered_json& start = Row(tree["programs"], "start");
  EXPECT_THAT(start["tail_calls"],
              ::testing::Contains(ordered_json({{"map", "calls"}, {"slot", 2}, {"live", true}})));
  EXPECT_THAT(start["tail_calls"], Not(::testing::Contains(ordered_json(
                                       {{"map", "calls"}, {"slot", 1}, {"live", true}}))));
}

TEST_P(AnalyzeTest, SetReachesFieldsOfStructsAndUnions) {
  EXPECT_FALSE(IsLive(Set({})["maps"], "field_map"));
  for (const char* assignment :
       {"limits.part.on=true", "__config_limits.narrow=3", "word.half[1]=9", "word=hex:00000900",
        "limits=hex:01000000feffffff0102030401f10000"}) {
    EXPECT_TRUE(IsLive(Set({assignment})["maps"], "field_map")) << assignment;
  }
  const ordered_json tree = Set({"limits.low=0xffff", "limits.high=-5", "limits.part.list[2]=0b11",
                                 "limits.tiny=-4", "word.whole=0x01020304"});
  EXPECT_THAT(Row(tree["constants"], "__config_limits")["value"].get<std::string>(),
              ::testing::StartsWith("hex:ffff0000fbffffff010203040091"));
  EXPECT_EQ(Row(tree["constants"], "__config_word")["value"], "hex:04030201");
}

TEST_P(AnalyzeTest, SectionThenConfigThenSet) {
  const auto object = object::Read(Options().object);
  ASSERT_TRUE(object.ok()) << object.status();
  const object::Constant& level = *object->FindConstant("__config_level");
  std::vector<uint8_t> bytes = object->data_sections[level.section].bytes;
  bytes[level.offset] = 6;
  AnalyzeOptions options = Options();
  options.sections = {".rodata.config=@" + File("bytes", {bytes.begin(), bytes.end()})};
  const auto value = [&] { return Row(Json(options)["constants"], "__config_level")["value"]; };
  EXPECT_EQ(value(), 6);
  EXPECT_TRUE(IsLive(Json(options)["maps"], "high_map"));
  options.config = File("config", "level: 7\nfirst-way: no\nlimits.part.on: true\n");
  EXPECT_EQ(value(), 7);
  EXPECT_FALSE(IsLive(Json(options)["maps"], "first_map"));
  EXPECT_TRUE(IsLive(Json(options)["maps"], "field_map"));
  options.assignments = {"level=8", "level=2"};
  EXPECT_EQ(value(), 2);
  EXPECT_FALSE(IsLive(Json(options)["maps"], "high_map"));
}

TEST_P(AnalyzeTest, TailBindsProgramsToSlots) {
  AnalyzeOptions options = Options();
  options.tails = {"calls:5=three", "calls:6=three", "calls:1=one"};
  ordered_json tree = Json(options);
  ExpectContract(tree);
  EXPECT_EQ(Row(tree["programs"], "three")["kind"], "tail");
  EXPECT_EQ(Row(tree["programs"], "three")["live"], true);  // by a slot that is not known
  for (const int slot : {1, 2, 5, 6}) {
    EXPECT_THAT(
        Row(tree["programs"], "one")["tail_calls"],
        ::testing::Contains(ordered_json({{"map", "calls"}, {"slot", slot}, {"live", true}})));
  }
  options.assignments = {"first_way=false"};  // "one" is dead, which alone might jump there
  tree = Json(options);
  EXPECT_EQ(Row(tree["programs"], "three")["live"], false);
  EXPECT_EQ(Row(tree["programs"], "three")["live_slots"], 0);
}

TEST_P(AnalyzeTest, EntriesAreThoseNamed) {
  AnalyzeOptions options = Options();
  options.entries = {"two", "three"};
  const ordered_json tree = Json(options);
  ExpectContract(tree);
  for (const ordered_json& program : tree["programs"]) {
    const bool named = program["name"] == "two" || program["name"] == "three";
    EXPECT_EQ(program["live"], named) << program;
    EXPECT_EQ(program["kind"], named ? "entry" : "tail") << program;
  }
  EXPECT_FALSE(IsLive(tree["maps"], "first_map"));
  EXPECT_TRUE(IsLive(tree["maps"], "second_map"));
}

TEST_P(AnalyzeTest, TableSaysWhatIsDeadAndWhy) {
  AnalyzeOptions options = Options();
  options.assignments = {"first_way=false"};
  const auto analysis = Analyze(options);
  ASSERT_TRUE(analysis.ok()) << analysis.status();
  const Facts facts = FactsOf(*analysis);
  const std::string plain = AnalysisTable(*analysis, facts, {.colour = false});
  EXPECT_THAT(plain, AllOf(HasSubstr("3 of 4 programs, 5 of 9 maps, 4 of 6 functions are live"),
                           ::testing::ContainsRegex("\none +dead +tail +tc +0 of [0-9]+ +0 of 0 "),
                           ::testing::ContainsRegex("\nhigh_map +- +__config_level = 3 at "),
                           HasSubstr("\nLIVE MAPS\n  "), HasSubstr("\nDEAD FUNCTIONS\n  ")));
  EXPECT_EQ(plain.find('\033'), std::string::npos);
  EXPECT_NE(AnalysisTable(*analysis, facts, {.colour = true}).find("\033[2m"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(, AnalyzeTest, ::testing::ValuesIn([] {
                           std::vector<std::string> variants;
                           std::istringstream list(TEST_BPF_VARIANTS);
                           for (std::string one; std::getline(list, one, ',');) {
                             variants.push_back(one);
                           }
                           return variants;
                         }()),
                         [](const auto& variant) {
                           std::string name;
                           for (const char c : variant.param) name += c == '-' ? '_' : c;
                           return name;
                         });

TEST(AnalyzeDatapath, JsonKeepsTheContract) {
  for (const char* name : {"from_pod", "to_pod"}) {
    const std::string path = std::string(BONSAI_BPF_DIR) + "/" + name + ".bpf.o";
    ExpectContract(Json({.object = path}));
    ExpectContract(Json({.object = path, .assignments = {"enable-conntrack=off"}}));
  }
}

TEST(AnalyzeDatapath, ReadsTheConfigOfAWholeAgent) {
  const testing::TemporaryDirectory directory;
  const std::string config = directory.path() + "/config.yaml";
  // Of the agent itself, of other objects, and of this one.
  std::ofstream(config) << "log-level: debug\nenable-prefilter: true\nenable-conntrack: false\n";
  AnalyzeOptions options{.object = std::string(BONSAI_BPF_DIR) + "/from_pod.bpf.o",
                         .config = config};
  EXPECT_FALSE(IsLive(Json(options)["maps"], "ct4"));
  std::ofstream(config) << "log-level: debug\nenable-contrack: false\n";
  EXPECT_THAT(std::string(Analyze(options).status().message()),
              AllOf(HasSubstr(config), HasSubstr("enable_contrack"), HasSubstr("enable_conntrack")));
  // An object of another project has no such settings.
  std::ofstream(config) << "log-level: debug\n";
  options.object = std::string(TEST_BPF_DIR) + "/analyze.clang19-v3-O2.o";
  EXPECT_FALSE(Analyze(options).ok());
}

TEST(AnalyzeDatapath, DeadCodeNamesItsTailCalls) {
  const ordered_json tree = Json({.object = std::string(BONSAI_BPF_DIR) + "/from_pod.bpf.o",
                                  .assignments = {"enable_conntrack=false"}});
  const ordered_json& calls = Row(tree["programs"], "from_pod")["tail_calls"];
  EXPECT_GE(calls.size(), 4u);
  for (const ordered_json& call : calls) {
    EXPECT_EQ(call["map"], "from_pod_calls");
    EXPECT_EQ(call["live"], false);
  }
}

}  // namespace
}  // namespace bonsai::cli
