// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/stable_ids.h"

#include <gtest/gtest.h>

namespace bonsai::tables {
namespace {

std::set<std::string> Names(int count) {
  std::set<std::string> names;
  for (int i = 0; i < count; ++i) names.insert("name-" + std::to_string(i));
  return names;
}

TEST(StableIds, KeepsNumbersWhileNamesStay) {
  StableIds ids("things", 10, 1000);
  ASSERT_TRUE(ids.Assign(Names(100)).ok());
  std::map<std::string, uint32_t> before;
  for (const auto& name : Names(100)) before[name] = ids.at(name);
  ASSERT_TRUE(ids.Assign(Names(500)).ok());
  for (const auto& [name, id] : before) EXPECT_EQ(ids.at(name), id);
}

TEST(StableIds, GivesDifferentNumbersWithinTheRange) {
  StableIds ids("things", 10, 109);
  ASSERT_TRUE(ids.Assign(Names(100)).ok());  // the range is full: every collision was resolved
  std::set<uint32_t> used;
  for (const auto& name : Names(100)) {
    EXPECT_GE(ids.at(name), 10u);
    EXPECT_LE(ids.at(name), 109u);
    used.insert(ids.at(name));
  }
  EXPECT_EQ(used.size(), 100u);
}

TEST(StableIds, GivesTheSameNumbersInTheNextProcess) {
  StableIds first("things", 1, 0xffffff), second("things", 1, 0xffffff);
  ASSERT_TRUE(first.Assign(Names(3)).ok());
  ASSERT_TRUE(first.Assign(Names(50)).ok());
  ASSERT_TRUE(second.Assign(Names(50)).ok());
  for (const auto& name : Names(50)) EXPECT_EQ(first.at(name), second.at(name));
}

TEST(StableIds, ForgetsNamesOutOfUse) {
  StableIds ids("things", 1, 2);
  ASSERT_TRUE(ids.Assign({"a", "b"}).ok());
  ASSERT_TRUE(ids.Assign({"b", "c"}).ok());
  EXPECT_NE(ids.at("b"), ids.at("c"));
  EXPECT_THROW(ids.at("a"), std::out_of_range);
}

TEST(StableIds, RefusesMoreNamesThanNumbersAndStaysAsItWas) {
  StableIds ids("things", 1, 2);
  ASSERT_TRUE(ids.Assign({"a", "b"}).ok());
  const uint32_t a = ids.at("a");
  const absl::Status status = ids.Assign({"a", "b", "c"});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(status.message()), "allocating things: 3 wanted, 2 exist");
  EXPECT_EQ(ids.at("a"), a);
}

}  // namespace
}  // namespace bonsai::tables
