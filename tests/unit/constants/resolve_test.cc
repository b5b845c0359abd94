// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"
#include "agent/constants/constant_set.h"

namespace bonsai::constants {
namespace {

using object::Constant;
using object::ConstantOrigin;
using object::ObjectSpec;
using ::testing::AllOf;
using ::testing::HasSubstr;

Constant Number(const std::string& name, uint32_t offset, uint32_t size, ConstantOrigin origin) {
  return {.name = name, .offset = offset, .size = size, .is_integer = true, .origin = origin};
}

// enable_x: bool at 0; level: s16 at 2, -1; limit: u32 at 4, 7; hertz: u32 at 8; table: array at 12.
ObjectSpec Object() {
  ObjectSpec object{.name = "thing"};
  object.data_sections.push_back(
      {.name = ".rodata.config",
       .bytes = {1, 0, 0xff, 0xff, 7, 0, 0, 0, 250, 0, 0, 0, 1, 2, 3}, .read_only = true});
  object.data_sections.push_back({.name = ".data", .bytes = {9}});
  object.constants = {Number("enable_x", 0, 1, ConstantOrigin::kSetting),
                      Number("level", 2, 2, ConstantOrigin::kSetting),
                      Number("limit", 4, 4, ConstantOrigin::kSetting),
                      Number("hertz", 8, 4, ConstantOrigin::kNode),
                      Number("table", 12, 3, ConstantOrigin::kOther)};
  object.constants[0].is_bool = true;
  object.constants[1].is_signed = true;
  object.constants[4].is_integer = false;
  return object;
}

settings::Settings Given(const settings::RawSettings& raw) {
  const auto schema = settings::Schema::Make(*object::SettingSpecs({Object()}));
  EXPECT_TRUE(schema.ok()) << schema.status();
  const auto settings = settings::Parse(*schema, raw);
  EXPECT_TRUE(settings.ok()) << settings.status();
  return *settings;
}

TEST(Resolve, WritesSettingsAndNodeFacts) {
  const auto set = Resolve(Given({{"enable-x", "false"}, {"level", "-300"}, {"limit", "70000"}}),
                           {{"hertz", 1000}, {"unknown", 5}}, Object());
  ASSERT_TRUE(set.ok()) << set.status();
  ASSERT_EQ(set->sections.size(), 1u);  // .data is not read-only
  EXPECT_EQ(set->sections.at(0), (std::vector<uint8_t>{0, 0, 0xd4, 0xfe, 0x70, 0x11, 1, 0, 0xe8, 3,
                                                       0, 0, 1, 2, 3}));
  EXPECT_EQ(ToJson(*set), R"({"enable_x":false,"hertz":1000,"level":-300,"limit":70000})");
  EXPECT_EQ(set->values[1].origin, "node");
  EXPECT_EQ(set->values[2].origin, "setting");
  EXPECT_FALSE(set->values[2].is_default);
}

TEST(Resolve, KeepsDefaultsWhenNothingIsGiven) {
  const auto set = Resolve(Given({}), {}, Object());
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->sections.at(0), Object().data_sections[0].bytes);
  for (const NamedValue& value : set->values) EXPECT_TRUE(value.is_default) << value.name;
  EXPECT_EQ(set->values[1].origin, "object");  // no fact for hertz
}

TEST(Resolve, ErrorWhenANodeFactDoesNotFit) {
  const auto set = Resolve(Given({}), {{"hertz", uint64_t{1} << 32}}, Object());
  EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::Message(set.status()),
              AllOf(HasSubstr("hertz"), HasSubstr("4294967296"), HasSubstr("0..4294967295")));
}

TEST(Resolve, InternalWhenTheSchemaLacksAConstant) {
  ObjectSpec object = Object();
  object.constants.push_back(Number("novel", 4, 4, ConstantOrigin::kSetting));
  const auto set = Resolve(Given({}), {}, object);
  EXPECT_EQ(set.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(base::Message(set.status()), HasSubstr("novel"));
}

TEST(Override, WritesOneConstant) {
  ConstantSet set = Defaults(Object());
  ASSERT_TRUE(Override(Object(), "level", -2, set).ok());
  ASSERT_TRUE(Override(Object(), "x", 0, set).ok());  // "enable_" left out
  EXPECT_EQ(ToJson(set), R"({"enable_x":false,"hertz":250,"level":-2,"limit":7})");
}

TEST(Override, ErrorWhenUnknownOrOutOfRange) {
  ConstantSet set = Defaults(Object());
  EXPECT_EQ(Override(Object(), "nothing", 1, set).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Override(Object(), "enable_x", 2, set).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Override(Object(), "limit", -1, set).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Override(Object(), "level", 32768, set).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Override(Object(), "table", 1, set).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ToJson(set), ToJson(Defaults(Object())));
}

}  // namespace
}  // namespace bonsai::constants
