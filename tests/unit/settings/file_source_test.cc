// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"
#include "agent/settings/settings_source.h"
#include "tests/unit/settings/config_map_dir.h"

namespace bonsai::settings {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string YamlError(const std::string& text) {
  const auto raw = ParseYaml("bonsai.yaml", text);
  if (raw.ok()) return "accepted";
  EXPECT_EQ(raw.status().code(), absl::StatusCode::kInvalidArgument);
  return base::Message(raw.status());
}

TEST(ParseYaml, ReadsAFlatMapping) {
  const auto raw = ParseYaml("f", "# comment\nenable-ipv6: true\nct-entries: 0x400\nempty: \"\"\n"
                                  "prefilter-cidrs: [10.0.0.0/8, 'fd00::/8']\nnone: []\n");
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_THAT(*raw, ElementsAre(Pair("ct-entries", "0x400"), Pair("empty", ""),
                                Pair("enable-ipv6", "true"), Pair("none", ""),
                                Pair("prefilter-cidrs", "10.0.0.0/8,fd00::/8")));
}

TEST(ParseYaml, TakesBracesForNoSettings) {
  const auto raw = ParseYaml("f", "{}");
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_TRUE(raw->empty());
}

TEST(ParseYaml, NamesEachProblemWithItsLine) {
  EXPECT_EQ(YamlError("a: 1\nb: {c: 2}\na: 3\nd:\ne: [[1]]\nf: ['x,y']\n"),
            "bonsai.yaml:2: b: a nested mapping; settings are flat\n"
            "bonsai.yaml:3: a: given twice\n"
            "bonsai.yaml:4: d: no value; write \"\" for an empty one\n"
            "bonsai.yaml:5: e: each element of a list must be one plain value\n"
            "bonsai.yaml:6: f: each element of a list must be one plain value");
}

TEST(ParseYaml, RefusesWhatIsNoMapping) {
  EXPECT_THAT(YamlError(""), HasSubstr("bonsai.yaml: it is empty"));
  EXPECT_THAT(YamlError("# only a comment\n"), HasSubstr("it is empty"));
  EXPECT_THAT(YamlError("just text"), HasSubstr("not a mapping"));
  EXPECT_THAT(YamlError("- a\n- b\n"), HasSubstr("not a mapping"));
  EXPECT_THAT(YamlError("a: 1\n---\nb: 2\n"), HasSubstr("more than one document"));
  EXPECT_THAT(YamlError(",a: 1"), HasSubstr("more than one document"));
  EXPECT_THAT(YamlError("a: 1\nb: [1, 2\n"), HasSubstr("not YAML"));
  EXPECT_THAT(YamlError("? [a, b]\n: c\n"), HasSubstr("no plain word"));
}

TEST(ReadFile, ReadsOrNamesTheFile) {
  testing::TempDir temp;
  const std::string path = (temp.path() / "bonsai.yaml").string();
  EXPECT_THAT(base::Message(ReadFile(path).status()), HasSubstr(path + ": No such file"));
  testing::WriteFile(path, "log-level: debug\n");
  const auto raw = ReadFile(path);
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_THAT(*raw, ElementsAre(Pair("log-level", "debug")));
  EXPECT_THAT(base::Message(ReadFile(temp.path().string()).status()),
              HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace bonsai::settings
