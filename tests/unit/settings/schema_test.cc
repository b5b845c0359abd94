// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/settings/nearest.h"
#include "agent/settings/reference.h"
#include "tests/unit/settings/sample_schema.h"

namespace bonsai::settings {
namespace {

using ::testing::HasSubstr;

std::string MakeError(std::vector<SettingSpec> specs) {
  return base::Message(Schema::Make(std::move(specs)).status());
}

TEST(Schema, MergesEqualDeclarations) {
  const auto schema = Schema::Make({Toggle("a", true), Toggle("b", true),
                                    Toggle("c", false, {"a", "b"}),
                                    Toggle("c", false, {"b", "a"})});
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_EQ(schema->specs().size(), 3u);
  EXPECT_NE(schema->Find("c"), nullptr);
  EXPECT_EQ(schema->Find("d"), nullptr);
}

TEST(Schema, RefusesDeclarationsThatDiffer) {
  EXPECT_THAT(MakeError({Toggle("a", true), Toggle("a", false)}), HasSubstr("differ in default"));
  EXPECT_THAT(MakeError({Seconds("a", 5, 1, 10), Seconds("a", 5, 1, 11)}),
              HasSubstr("differ in range"));
  EXPECT_THAT(MakeError({Seconds("a", 1, 0, 0), Toggle("a", true)}), HasSubstr("differ in type"));
  EXPECT_THAT(MakeError({Toggle("a", true), Toggle("a", true, {"b"})}),
              HasSubstr("differ in requirements"));
}

TEST(Schema, RefusesADefaultThatItsOwnRangeForbids) {
  EXPECT_THAT(MakeError({Seconds("a", 0, 1, 10)}), HasSubstr("declaring setting a: its default"));
  SettingSpec wrong_type = Toggle("b", true);
  wrong_type.default_value = uint64_t{1};
  EXPECT_THAT(MakeError({wrong_type}), HasSubstr("declaring setting b: its default"));
  EXPECT_THAT(MakeError({Toggle("Not_Kebab", true)}), HasSubstr("kebab-case"));
}

TEST(Schema, FindsTheNearestKey) {
  const Schema schema = SampleSchema();
  const std::map<std::string, std::string> nearest = {
      {"enable-polcy", "enable-policy"},     {"enable_policy", "enable-policy"},
      {"ENABLE-IPV6", "enable-ipv6"},        {"policy", "enable-policy"},
      {"conntrak", "enable-conntrack"},      {"ct-entires", "ct-entries"},
      {"prefilter-cidr", "prefilter-cidrs"}, {"ct_tcp_timeout", "ct-tcp-timeout"},
      {"loglevel", "log-level"},             {"ipv6", "enable-ipv6"},
      {"zebra", ""},                         {"", ""},
      {"e", ""},                             {std::string(1000, 'a'), ""},
  };
  for (const auto& [key, expected] : nearest) EXPECT_EQ(schema.Nearest(key), expected) << key;
}

TEST(EditDistance, CountsASwapOnce) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("abcd", "abdc"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(AgentSettings, AreEachDocumentedAndBelongToAFeature) {
  for (const SettingSpec& spec : AgentSettings()) {
    EXPECT_FALSE(spec.doc.empty()) << spec.key;
    EXPECT_FALSE(spec.feature.empty()) << spec.key;
    EXPECT_TRUE(spec.constant.empty()) << spec.key;
    EXPECT_EQ(spec.target, Target::kAgent) << spec.key;
  }
}

TEST(MarkdownReference, HasARowForEachSetting) {
  const Schema schema = SampleSchema();
  const std::string page = MarkdownReference(schema);
  for (const auto& [key, spec] : schema.specs()) EXPECT_THAT(page, HasSubstr("| `" + key + "` |"));
  EXPECT_THAT(page, HasSubstr("| `enable-policy` | `false` | true or false | `enable-conntrack` |"));
  EXPECT_THAT(page, HasSubstr("## conntrack"));
}

}  // namespace
}  // namespace bonsai::settings
