// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/reload_class.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include "agent/base/status.h"

namespace bonsai::plan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

MapPlan Map(const std::string& name, uint32_t type, uint32_t entries, const std::string& setting,
            bool create = true) {
  MapPlan map{.name = name, .type = type, .max_entries = entries, .sized_by = setting};
  map.create = create;
  return map;
}

LoadPlan Sample(uint32_t ct_entries, uint32_t service_entries, uint8_t constant = 1) {
  LoadPlan plan;
  plan.maps = {Map("ct4", BPF_MAP_TYPE_LRU_HASH, ct_entries, "ct-entries"),
               Map("ct6", BPF_MAP_TYPE_LRU_HASH, ct_entries, "ct-entries", false),
               Map("services4", BPF_MAP_TYPE_HASH, service_entries, "service-entries")};
  plan.objects.resize(2);
  plan.objects[0].name = "from_pod";
  plan.objects[0].needed = true;
  plan.objects[0].sections[".rodata.config"] = {constant};
  plan.objects[1].name = "xdp";
  plan.objects[1].sections[".rodata.config"] = {constant};
  return plan;
}

TEST(ClassOfChange, IsLiveWhenNothingInTheKernelChanges) {
  EXPECT_EQ(ClassOfChange(Sample(1000, 10), Sample(1000, 10)), ReloadClass::kLive);
  LoadPlan idle = Sample(1000, 10);
  idle.objects[1].sections[".rodata.config"] = {7};
  EXPECT_EQ(ClassOfChange(Sample(1000, 10), idle), ReloadClass::kLive) << "xdp is not loaded";
  LoadPlan pruned = Sample(1000, 10);
  pruned.maps[1].max_entries = 5;
  EXPECT_EQ(ClassOfChange(Sample(1000, 10), pruned), ReloadClass::kLive) << "ct6 is not created";
}

TEST(ClassOfChange, IsReloadForConstantsAndForMapsThatComeOrGo) {
  EXPECT_EQ(ClassOfChange(Sample(1000, 10), Sample(1000, 10, 2)), ReloadClass::kReload);
  LoadPlan more = Sample(1000, 10);
  more.maps[1].create = true;
  EXPECT_EQ(ClassOfChange(Sample(1000, 10), more), ReloadClass::kReload);
}

TEST(ClassOfChange, IsMigrateForAnotherSizeOfAMapThatStays) {
  EXPECT_EQ(ClassOfChange(Sample(1000, 10), Sample(2000, 10)), ReloadClass::kMigrate);
  EXPECT_EQ(ClassOfChange(Sample(1000, 10), Sample(1000, 20, 2)), ReloadClass::kMigrate);
  const std::vector<Resize> resizes = Resizes(Sample(1000, 10), Sample(2000, 10));
  ASSERT_THAT(resizes, SizeIs(1));
  EXPECT_EQ(resizes[0].map, "ct4");
  EXPECT_EQ(resizes[0].setting, "ct-entries");
  EXPECT_EQ(resizes[0].from, 1000u);
  EXPECT_EQ(resizes[0].to, 2000u);
}

TEST(ClassOfChange, IsReloadForAnotherSizeOfAMapThatBeginsEmpty) {
  LoadPlan from = Sample(1000, 10), to = Sample(2000, 10);
  from.maps[0].resized_empty = to.maps[0].resized_empty = true;
  EXPECT_EQ(ClassOfChange(from, to), ReloadClass::kReload);
  EXPECT_THAT(Resizes(from, to), IsEmpty()) << "there is nothing that must fit";
}

TEST(ClassOfSetting, FollowsFromWhatTheSettingIs) {
  const LoadPlan plan = Sample(1000, 10);
  EXPECT_EQ(ClassOfSetting({.key = "ct-entries"}, plan), ReloadClass::kMigrate);
  EXPECT_EQ(ClassOfSetting({.key = "log-level"}, plan), ReloadClass::kLive);
  settings::SettingSpec toggle{.key = "enable-ipv6", .constant = "enable_ipv6"};
  toggle.target = settings::Target::kConstant;
  EXPECT_EQ(ClassOfSetting(toggle, plan), ReloadClass::kReload);
}

TEST(CheckFits, RefusesLessThanIsInUseWithTheNumbers) {
  const LoadPlan from = Sample(4000, 100), to = Sample(2000, 50);
  EXPECT_TRUE(CheckFits(from, to, {{"ct4", 1000}, {"services4", 50}}, 2).ok());
  const absl::Status refused = CheckFits(from, to, {{"ct4", 1900}, {"services4", 51}}, 2);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(base::Message(refused),
              AllOf(HasSubstr("ct-entries = 2000"), HasSubstr("1900 entries are in use"),
                    HasSubstr("at least 2156"), HasSubstr("service-entries = 50"),
                    HasSubstr("51 entries are in use")));
}

TEST(CheckFits, DoesNotJudgeGrowthNorWhatWasNotCounted) {
  EXPECT_TRUE(CheckFits(Sample(1000, 10), Sample(2000, 10), {{"ct4", 99999}}, 2).ok());
  EXPECT_TRUE(CheckFits(Sample(2000, 10), Sample(1000, 10), {}, 2).ok());
  EXPECT_THAT(Resizes(Sample(1000, 10), Sample(1000, 10)), IsEmpty());
}

TEST(RoomFor, LeavesAnLruMapTheEntriesThatItsCpusHoldBack) {
  EXPECT_EQ(RoomFor(BPF_MAP_TYPE_HASH, 1000, 4), 1000u);
  EXPECT_EQ(RoomFor(BPF_MAP_TYPE_LRU_HASH, 1000, 4), 1512u);
  EXPECT_EQ(RoomFor(BPF_MAP_TYPE_LRU_HASH, 0, 256), 0u) << "an empty map fits anywhere";
}

}  // namespace
}  // namespace bonsai::plan
