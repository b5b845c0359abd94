// SPDX-License-Identifier: Apache-2.0
// Constants of a real object, given as text.
#include "agent/constants/assign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"
#include "agent/constants/number.h"

namespace bonsai::constants {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class AssignTest : public ::testing::Test {
 protected:
  AssignTest() : object_(Read()), set_(Defaults(object_)) {}

  static object::ObjectSpec Read() {
    auto object = object::Read(std::string(TEST_BPF_DIR) + "/kinds.clang19-v3-O2.o");
    EXPECT_TRUE(object.ok()) << object.status();
    return object.ok() ? *object : object::ObjectSpec();
  }
  std::string Refused(const std::string& name, const std::string& value) {
    const ConstantSet before = set_;
    const absl::Status status = Assign(object_, name, value, set_);
    EXPECT_FALSE(status.ok()) << name << "=" << value;
    EXPECT_EQ(set_.sections, before.sections) << name << "=" << value;
    return base::Message(status);
  }
  std::string Value(const std::string& name) const {
    for (const NamedValue& value : set_.values) {
      if (value.name == name) return value.value;
    }
    return "none";
  }

  const object::ObjectSpec object_;
  ConstantSet set_;
};

TEST_F(AssignTest, TakesEveryFormOfNumber) {
  for (const auto& [text, value] : std::vector<std::pair<std::string, std::string>>{
           {"5", "5"}, {"0x1F", "31"}, {"0b101", "5"}, {"+7", "7"}, {"true", "1"}, {"false", "0"},
           {"-0", "0"}, {"18446744073709551615", "18446744073709551615"}, {"007", "7"}}) {
    EXPECT_TRUE(Assign(object_, "plain", text, set_).ok()) << text;
    EXPECT_EQ(Value("plain"), value) << text;
  }
  for (const auto& [text, value] : std::vector<std::pair<std::string, std::string>>{
           {"-32768", "-32768"}, {"-0x10", "-16"}, {"-0b11", "-3"}, {"32767", "32767"}}) {
    EXPECT_TRUE(Assign(object_, "x-bias", text, set_).ok()) << text;
    EXPECT_EQ(Value("x_bias"), value) << text;
  }
  for (const char* text : {"", "-", "+", "0x", "0b", "0b2", "0xg", "--1", "1 ", " 1", "1.5",
                           "0x-1"}) {
    EXPECT_THAT(Refused("plain", text), HasSubstr("is no number")) << text;
  }
}

TEST_F(AssignTest, BoolTakesTheWordsOfYaml) {
  for (const char* text : {"false", "0", "no", "off", "0x0"}) {
    EXPECT_TRUE(Assign(object_, "enable_x", "true", set_).ok());
    EXPECT_TRUE(Assign(object_, "enable-x", text, set_).ok()) << text;
    EXPECT_EQ(Value("enable_x"), "false") << text;
  }
  EXPECT_THAT(Refused("enable_x", "2"), HasSubstr("allowed is true or false"));
}

TEST_F(AssignTest, RangeIsThatOfTheType) {
  EXPECT_TRUE(Assign(object_, "x_limit", "4294967295", set_).ok());  // its tag says 1..9
  EXPECT_THAT(Refused("x_limit", "4294967296"), HasSubstr("allowed is 0..4294967295"));
  EXPECT_THAT(Refused("x_bias", "32768"), HasSubstr("allowed is -32768..32767"));
  EXPECT_THAT(Refused("x_bias", "-32769"), HasSubstr("allowed is -32768..32767"));
  EXPECT_THAT(Refused("plain", "-9223372036854775809"), HasSubstr("out of range"));
  EXPECT_THAT(Refused("plain", "18446744073709551616"), HasSubstr("out of range"));
}

TEST_F(AssignTest, NamesMayLackTheirBeginning) {
  EXPECT_TRUE(Assign(object_, "limit", "3", set_).ok());
  EXPECT_EQ(Value("x_limit"), "3");
  EXPECT_TRUE(Knows(object_, "x-limit"));
  EXPECT_FALSE(Knows(object_, "limit"));
  object::ObjectSpec twice = object_;
  twice.constants.push_back(*twice.FindConstant("x_limit"));
  twice.constants.back().name = "y_limit";
  EXPECT_THAT(base::Message(Assign(twice, "limit", "3", set_)),
              AllOf(HasSubstr("ambiguous"), HasSubstr("x_limit, y_limit")));
  twice.constants.back().name = "__config_limit";
  EXPECT_TRUE(Assign(twice, "limit", "3", set_).ok());
  EXPECT_TRUE(Knows(twice, "limit"));
}

TEST_F(AssignTest, UnknownNamesNameTheNearest) {
  EXPECT_THAT(Refused("x_limti", "3"), HasSubstr("the nearest is x_limit"));
  EXPECT_THAT(Refused("herz", "3"), HasSubstr("the nearest is hertz"));
  EXPECT_THAT(Refused(std::string(100000, 'x'), "3"), HasSubstr("the nearest is"));
  EXPECT_THAT(base::Message(Assign({.name = "bare"}, "x", "1", set_)), HasSubstr("nor any other"));
}

TEST_F(AssignTest, HexGivesAllBytes) {
  ASSERT_TRUE(Assign(object_, "pair", "hex:0a0B000000000001", set_).ok());
  const object::Constant& pair = *object_.FindConstant("pair");
  const auto& section = set_.sections.at(pair.section);
  EXPECT_EQ(std::vector<uint8_t>(section.begin() + pair.offset, section.begin() + pair.offset + 8),
            (std::vector<uint8_t>{0x0a, 0x0b, 0, 0, 0, 0, 0, 1}));
  ASSERT_TRUE(Assign(object_, "x_bias", "hex:feff", set_).ok());
  EXPECT_EQ(Value("x_bias"), "-2");
  EXPECT_THAT(Refused("x_bias", "hex:fe"), HasSubstr("1 byte given, it has 2 bytes"));
  EXPECT_THAT(Refused("x_bias", "hex:fefefe"), HasSubstr("3 bytes given, it has 2 bytes"));
  EXPECT_THAT(Refused("x_bias", "hex:"), HasSubstr("0 bytes given"));
  EXPECT_THAT(Refused("x_bias", "hex:fg"), HasSubstr("hexadecimal"));
  EXPECT_THAT(Refused("x_bias", "hex:fef"), HasSubstr("hexadecimal"));
  EXPECT_THAT(Refused("pair", "5"), HasSubstr("give its 8 bytes as hex:BYTES"));
}

TEST_F(AssignTest, FieldsAreWrittenWhereTheyAre) {
  ASSERT_TRUE(Assign(object_, "pair.b", "7", set_).ok());
  const object::Constant& pair = *object_.FindConstant("pair");
  const auto& section = set_.sections.at(pair.section);
  EXPECT_EQ(std::vector<uint8_t>(section.begin() + pair.offset, section.begin() + pair.offset + 8),
            (std::vector<uint8_t>{1, 0, 0, 0, 7, 0, 0, 0}));
  EXPECT_THAT(Refused("pair.b", "-1"), HasSubstr("allowed is 0..4294967295"));
  for (const char* name : {"pair.c", "pair.", "pair[0]", "pair.a.b", "plain.a", "pair.a[0]",
                           "pair.b]"}) {
    EXPECT_THAT(Refused(name, "1"), HasSubstr("setting constant")) << name;
  }
}

TEST_F(AssignTest, SectionIsReplacedWhole) {
  const object::Constant& limit = *object_.FindConstant("x_limit");
  std::vector<uint8_t> bytes(set_.sections.at(limit.section).size(), 0);
  bytes[limit.offset] = 8;
  ASSERT_TRUE(ReplaceSection(object_, ".rodata.config", bytes, set_).ok());
  EXPECT_EQ(set_.sections.at(limit.section), bytes);
  EXPECT_EQ(Value("x_limit"), "8");
  EXPECT_EQ(Value("enable_x"), "false");
  EXPECT_EQ(Value("plain"), "5");
  bytes.push_back(0);
  EXPECT_THAT(base::Message(ReplaceSection(object_, ".rodata.config", bytes, set_)),
              HasSubstr("given, it has"));
  EXPECT_THAT(base::Message(ReplaceSection(object_, ".bss", bytes, set_)), HasSubstr("may write"));
  EXPECT_THAT(base::Message(ReplaceSection(object_, ".none", bytes, set_)),
              HasSubstr(".rodata, .rodata.config"));
}

TEST(NumberType, AllowsWhatFits) {
  const NumberType narrow{.bits = 5}, tiny{.bits = 3, .is_signed = true};
  EXPECT_EQ(Allowed(narrow), "0..31");
  EXPECT_EQ(Allowed(tiny), "-4..3");
  EXPECT_EQ(Allowed({.bits = 64, .is_signed = true}),
            "-9223372036854775808..9223372036854775807");
  for (int64_t value = -40; value < 40; ++value) {
    EXPECT_EQ(Fits(narrow, Number::Signed(value)), value >= 0 && value <= 31) << value;
    EXPECT_EQ(Fits(tiny, Number::Signed(value)), value >= -4 && value <= 3) << value;
    if (Fits(tiny, Number::Signed(value))) {
      EXPECT_EQ(Format(tiny, static_cast<uint64_t>(value)), std::to_string(value));
    }
  }
}

}  // namespace
}  // namespace bonsai::constants
