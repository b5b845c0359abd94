// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ObjectSpec RealObject() {
  const std::string variant = std::string(TEST_BPF_VARIANTS).substr(0, 13);
  auto read = Read(std::string(TEST_BPF_DIR) + "/kinds." + variant + ".o");
  EXPECT_TRUE(read.ok()) << read.status();
  return *read;
}

TEST(SettingSpecs, DescribeEachSettingConstant) {
  const auto specs = SettingSpecs({RealObject()});
  ASSERT_TRUE(specs.ok()) << specs.status();
  ASSERT_EQ(specs->size(), 3u);  // sorted by key
  const settings::SettingSpec& toggle = specs->at(0);
  EXPECT_EQ(toggle.key, "enable-x");
  EXPECT_EQ(toggle.constant, "enable_x");
  EXPECT_EQ(toggle.kind, settings::Kind::kBool);
  EXPECT_EQ(toggle.target, settings::Target::kConstant);
  EXPECT_EQ(toggle.default_value, settings::Value(true));
  EXPECT_EQ(toggle.feature, "x");
  EXPECT_THAT(toggle.requires_keys, ElementsAre("enable-a", "enable-b"));
  const settings::SettingSpec& bias = specs->at(1);
  EXPECT_EQ(bias.kind, settings::Kind::kInt);
  EXPECT_EQ(bias.default_value, settings::Value(int64_t{-3}));
  EXPECT_EQ(bias.min, -32768);
  EXPECT_EQ(bias.max, 32767);
  const settings::SettingSpec& limit = specs->at(2);
  EXPECT_EQ(limit.kind, settings::Kind::kUint);
  EXPECT_EQ(limit.default_value, settings::Value(uint64_t{7}));
  EXPECT_EQ(limit.min, 1);
  EXPECT_EQ(limit.max, 9);
}

TEST(SettingSpecs, OneSpecWhenTwoObjectsAgree) {
  const auto specs = SettingSpecs({RealObject(), RealObject()});
  ASSERT_TRUE(specs.ok()) << specs.status();
  EXPECT_EQ(specs->size(), 3u);
}

TEST(SettingSpecs, ErrorWhenTwoObjectsDiffer) {
  ObjectSpec other = RealObject();
  other.path = "other.bpf.o";
  for (Constant& constant : other.constants) {
    if (constant.name == "x_limit") constant.max = 10;
  }
  const auto specs = SettingSpecs({RealObject(), other});
  EXPECT_EQ(specs.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::Message(specs.status()),
              AllOf(HasSubstr("x_limit"), HasSubstr("other.bpf.o")));
}

TEST(SettingSpecs, ErrorWhenASettingIsNoNumber) {
  ObjectSpec object = RealObject();
  for (Constant& constant : object.constants) {
    if (constant.name == "pair") constant.origin = ConstantOrigin::kSetting;
  }
  EXPECT_THAT(base::Message(SettingSpecs({object}).status()), HasSubstr("pair"));
}

}  // namespace
}  // namespace bonsai::object
