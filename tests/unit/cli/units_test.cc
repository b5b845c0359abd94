// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>

#include "agent/cli/document.h"
#include "agent/cli/table.h"

namespace bonsai::cli {
namespace {

TEST(Units, Bytes) {
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(1023), "1023 B");
  EXPECT_EQ(Bytes(1024), "1.0 KiB");
  EXPECT_EQ(Bytes(1048575), "1.0 MiB");
  EXPECT_EQ(Bytes(39007027), "37.2 MiB");
  EXPECT_EQ(Bytes(uint64_t{1} << 63), "8388608.0 TiB");
}

TEST(Units, Counts) {
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(999), "999");
  EXPECT_EQ(Count(1000), "1,000");
  EXPECT_EQ(Count(21870), "21,870");
  EXPECT_EQ(Count(1234567890), "1,234,567,890");
  EXPECT_EQ(Plural(1, "policy"), "1 policy");
  EXPECT_EQ(Plural(0, "policy"), "0 policies");
  EXPECT_EQ(Plural(1200, "packet"), "1,200 packets");
}

TEST(Units, Percent) {
  EXPECT_EQ(Percent(0), "0 %");
  EXPECT_EQ(Percent(0.0001), "<1 %");
  EXPECT_EQ(Percent(0.184), "18 %");
  EXPECT_EQ(Percent(1), "100 %");
}

TEST(Units, Durations) {
  EXPECT_EQ(Duration(-3), "0 ms");
  EXPECT_EQ(Duration(0.041), "41 ms");
  EXPECT_EQ(Duration(0.9999), "1 s");
  EXPECT_EQ(Duration(59.9), "59 s");
  EXPECT_EQ(Duration(61), "1m01s");
  EXPECT_EQ(Duration(11520), "3h12m");
  EXPECT_EQ(Duration(90000), "1d01h");
}

TEST(Wrap, NeverExceedsTheWidthButForLongWords) {
  EXPECT_THAT(Wrap("a bb ccc dddd", 6), ::testing::ElementsAre("a bb", "ccc", "dddd"));
  EXPECT_THAT(Wrap("longerthanwidth x", 6), ::testing::ElementsAre("longerthanwidth", "x"));
  EXPECT_THAT(Wrap("  ", 6), ::testing::IsEmpty());
}

TEST(Table, AlignsAndTrims) {
  Table table(Style{}, {{"NAME"}, {"N", Table::Align::kRight}, {"LAST"}});
  table.Add({"a", "1,000", ""});
  table.Add({"caf\u00e9", "2", "x"});
  EXPECT_EQ(table.Text(), "NAME      N  LAST\na     1,000  -\ncaf\u00e9      2  x\n");
}

TEST(Yaml, ReadsBackAsTheSameTree) {
  const nlohmann::ordered_json tree = {
      {"text", "true"}, {"number", "12"}, {"tricky", "a: b # c\n\"d\""}, {"none", nullptr},
      {"yes", true}, {"empty", nlohmann::ordered_json::array()},
      {"nested", {{"list", {1, 2}}, {"rows", {{{"k", "v"}, {"l", "w"}}, {{"k", "x"}}}}}},
      {"odd key: x", 1}};
  const YAML::Node node = YAML::Load(ToYaml(tree));
  EXPECT_EQ(node["text"].Tag(), "!");  // a quoted string, not a bool
  EXPECT_EQ(node["text"].Scalar(), "true");
  EXPECT_EQ(node["number"].Tag(), "!");
  EXPECT_EQ(node["tricky"].Scalar(), "a: b # c\n\"d\"");
  EXPECT_TRUE(node["none"].IsNull());
  EXPECT_EQ(node["yes"].as<bool>(), true);
  EXPECT_TRUE(node["empty"].IsSequence());
  EXPECT_EQ(node["nested"]["list"][1].as<int>(), 2);
  EXPECT_EQ(node["nested"]["rows"][0]["l"].Scalar(), "w");
  EXPECT_EQ(node["nested"]["rows"][1]["k"].Scalar(), "x");
  EXPECT_EQ(node["odd key: x"].as<int>(), 1);
}

TEST(Units, SignedNumbersSayWhichWay) {
  EXPECT_EQ(SignedBytes(1536), "+1.5 KiB");
  EXPECT_EQ(SignedBytes(-3), "-3 B");
  EXPECT_EQ(SignedBytes(0), "0 B");
  EXPECT_EQ(SignedCount(-1200), "-1,200");
  EXPECT_EQ(SignedCount(INT64_MIN), "-9,223,372,036,854,775,808");
}

}  // namespace
}  // namespace bonsai::cli
