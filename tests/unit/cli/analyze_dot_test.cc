// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/analyze_dot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "agent/cli/analyze_json.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using ::testing::Contains;
using ::testing::Pair;

struct Graph {
  bool valid = false;
  std::map<std::string, std::string> nodes;                    // id -> attributes
  std::map<std::pair<std::string, std::string>, std::string> edges;  // "from" and "to"
};

// Words of DOT: names, quoted strings (with their quotes), -> and single signs. Empty: no DOT.
std::vector<std::string> Words(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    size_t end = at + 1;
    if (c == '"') {
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      if (end++ >= text.size()) return {};
    } else if (c == '-' && end < text.size() && text[end] == '>') {
      ++end;
    } else if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') {
      while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) ||
                                   text[end] == '_')) {
        ++end;
      }
    }
    if (!std::isspace(static_cast<unsigned char>(c))) words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// digraph "name" { statement; ... } with nodes, edges and attributes of the whole graph.
Graph Parse(const std::string& text) {
  Graph graph;
  const std::vector<std::string> words = Words(text);
  if (words.size() < 4 || words[0] != "digraph" || words[2] != "{" || words.back() != "}") {
    return graph;
  }
  size_t at = 3;
  const auto next = [&] { return at < words.size() ? words[at++] : std::string(); };
  while (at + 1 < words.size()) {
    const std::string id = next();
    std::string word = next(), to, attributes;
    if (word == "->") {
      to = next();
      word = next();
    }
    if (word == "=") {  // of the graph
      next();
      word = next();
    } else if (word == "[") {
      for (word = next(); word != "]"; word = next()) {
        if (word.empty()) return graph;
        attributes += word;
      }
      word = next();
    }
    if (word != ";") return graph;
    if (!to.empty()) graph.edges[{id, to}] = attributes;
    if (to.empty() && !attributes.empty()) graph.nodes[id] = attributes;
  }
  graph.valid = true;
  graph.nodes.erase("node");  // the default
  return graph;
}

// What graphviz itself says, where it is installed.
void ExpectGraphvizTakes(const std::string& text) {
  const std::string dot = CLI_TEST_DOT;
  if (dot.empty()) return;
  const testing::TemporaryDirectory directory;
  const std::string file = directory.path() + "/graph.dot";
  std::ofstream(file) << text;
  FILE* pipe = ::popen((dot + " -Tcanon -o /dev/null " + file + " 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char message[512] = {};
  const size_t size = std::fread(message, 1, sizeof(message) - 1, pipe);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_EQ(std::string(message, size), "");
}

std::string NodeOf(const Graph& graph, const std::string& label) {
  for (const auto& [id, attributes] : graph.nodes) {
    if (attributes.starts_with("label=\"" + label)) return id;
  }
  ADD_FAILURE() << "no node " << label;
  return "";
}

std::string Edge(const Graph& graph, const std::string& from, const std::string& to) {
  const auto edge = graph.edges.find({NodeOf(graph, from), NodeOf(graph, to)});
  return edge == graph.edges.end() ? "none" : edge->second;
}

bool IsGrey(const std::string& attributes) {
  return attributes.find("color=grey") != std::string::npos &&
         attributes.find("style=dashed") != std::string::npos;
}

TEST(AnalysisDot, DrawsCallsMapsAndTailCalls) {
  AnalyzeOptions options{.object = std::string(TEST_BPF_DIR) + "/analyze.clang19-v3-O2.o"};
  options.assignments = {"first_way=false"};
  const auto analysis = Analyze(options);
  ASSERT_TRUE(analysis.ok()) << analysis.status();
  const std::string text = AnalysisDot(*analysis, FactsOf(*analysis));
  ExpectGraphvizTakes(text);
  const Graph graph = Parse(text);
  ASSERT_TRUE(graph.valid) << text;
  EXPECT_EQ(graph.nodes.size(), 4u + 2u + 9u);  // programs, other functions, maps
  for (const auto& [edge, attributes] : graph.edges) {
    EXPECT_TRUE(graph.nodes.contains(edge.first) && graph.nodes.contains(edge.second));
  }
  EXPECT_TRUE(IsGrey(Edge(graph, "start", "high\"")));
  EXPECT_TRUE(IsGrey(Edge(graph, "start", "first_map")));
  EXPECT_TRUE(IsGrey(graph.nodes.at(NodeOf(graph, "one"))));
  EXPECT_TRUE(IsGrey(graph.nodes.at(NodeOf(graph, "unused_map"))));
  EXPECT_FALSE(IsGrey(graph.nodes.at(NodeOf(graph, "start"))));
  EXPECT_THAT(Edge(graph, "start", "each"), ::testing::HasSubstr("label=\"callback\""));
  EXPECT_THAT(Edge(graph, "start", "two"), ::testing::HasSubstr("label=\"calls/2\""));
  EXPECT_FALSE(IsGrey(Edge(graph, "start", "two")));
  EXPECT_FALSE(IsGrey(Edge(graph, "start", "second_map")));
  EXPECT_THAT(Edge(graph, "outer_map", "inner_map"), ::testing::HasSubstr("holds"));
}

TEST(AnalysisDot, DrawsTheDatapath) {
  const auto analysis = Analyze({.object = std::string(BONSAI_BPF_DIR) + "/from_pod.bpf.o"});
  ASSERT_TRUE(analysis.ok()) << analysis.status();
  const std::string text = AnalysisDot(*analysis, FactsOf(*analysis));
  ExpectGraphvizTakes(text);
  EXPECT_TRUE(Parse(text).valid);
}

// Names are whatever the string table of an ELF holds.
TEST(AnalysisDot, ValidForAnyNames) {
  for (const std::string name :
       {"quote\"d", "back\\slash\\", "new\nline", "ctrl\x01\x7f", "\xff\xfe no utf8", "]; } digraph",
        "\xc3\xa9", "<b>", "\\\"", ""}) {
    Analysis analysis{.path = name};
    const std::vector<object::Insn> exit{{.opcode = 0x95}};
    analysis.object.functions = {{.name = name, .insns = exit}, {.name = name + "2", .insns = exit}};
    analysis.object.functions[0].refs = {{.kind = object::RefKind::kCall, .index = 1}};
    analysis.object.programs = {{.name = name, .section = name, .function = 0}};
    analysis.object.maps = {{.name = name}};
    const auto liveness = reachability::Analyze(analysis.object, {});
    ASSERT_TRUE(liveness.ok()) << liveness.status();
    analysis.liveness = *liveness;
    analysis.entries = {true};
    const Facts facts = FactsOf(analysis);
    const std::string text = AnalysisDot(analysis, facts);
    const Graph graph = Parse(text);
    EXPECT_TRUE(graph.valid) << text;
    EXPECT_EQ(graph.nodes.size(), 3u) << text;
    EXPECT_EQ(graph.edges.size(), 1u) << text;
    ExpectGraphvizTakes(text);
    const std::string json = AnalysisJson(analysis, facts);
    EXPECT_TRUE(nlohmann::json::accept(json)) << json;
  }
}

}  // namespace
}  // namespace bonsai::cli
