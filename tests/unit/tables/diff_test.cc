// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/diff.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace bonsai::tables {
namespace {

TEST(Diff, IsEmptyForEqualContents) {
  EXPECT_TRUE(Diff({{"a", "1"}}, {{"a", "1"}}).empty());
  EXPECT_TRUE(Diff({}, {}).empty());
}

TEST(Diff, NamesWhatIsNewChangedAndGone) {
  const MapDiff diff =
      Diff({{"a", "1"}, {"b", "2"}, {"c", "3"}}, {{"b", "2"}, {"c", "4"}, {"d", "5"}});
  EXPECT_EQ(
      diff,
      (MapDiff{.upserts = {{"c", "4"}, {"d", "5"}}, .deletes = {"a"}, .added = 1, .changed = 1}));
}

TEST(Diff, LeadsFromAnyContentsToAnyOther) {
  EXPECT_TRUE(rc::check([](MapContents current, const MapContents& desired) {
    const MapDiff diff = Diff(current, desired);
    RC_ASSERT(diff.added + diff.changed == diff.upserts.size());
    for (const auto& [key, value] : diff.upserts) current[key] = value;
    for (const Bytes& key : diff.deletes) RC_ASSERT(current.erase(key) == 1);
    RC_ASSERT(current == desired);
  }));
}

}  // namespace
}  // namespace bonsai::tables
