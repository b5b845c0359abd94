// SPDX-License-Identifier: Apache-2.0
// The rest of conntrack's move, on real LRU hashes and beside a writer that does what programs with
// ct_moving do.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "agent/tables/conntrack_move.h"
#include "kernel_maps.h"

namespace bonsai::tables {
namespace {

constexpr uint16_t kOpen = CT_OPENED_BY_POD | CT_SEEN_REPLY | CT_ESTABLISHED;
constexpr uint16_t kClosed = kOpen | CT_FIN_FROM_POD | CT_FIN_TO_POD;

ct_key4 Key(uint32_t pod) { return {.pod = pod, .protocol = 6}; }

TEST(TakeClosing, MarksAnEntryWhoseEndOnlyTheEarlierTableKnows) {
  ct_entry entry{.expires = 8000, .flags = kOpen};
  EXPECT_TRUE(TakeClosing({.expires = 10, .flags = kClosed}, entry));
  EXPECT_EQ(entry.flags, kClosed);
  EXPECT_EQ(entry.expires, 10u);
}

TEST(TakeClosing, LeavesTheRestAlone) {
  ct_entry entry{.expires = 8000, .flags = kOpen};
  EXPECT_FALSE(TakeClosing({.expires = 9000, .flags = kOpen}, entry)) << "open in both";
  EXPECT_FALSE(TakeClosing({.expires = 10, .flags = kOpen | CT_FIN_TO_POD}, entry)) << "half open";
  entry.flags = 0;
  EXPECT_FALSE(TakeClosing({.expires = 10, .flags = kClosed}, entry)) << "the other side's opening";
  entry.flags = kClosed;
  EXPECT_FALSE(TakeClosing({.expires = 5, .flags = kOpen | CT_RST}, entry)) << "closed already";
  EXPECT_EQ(entry.expires, 8000u);
}

class MoveConntrack : public KernelMaps {
 protected:
  void SetUp() override {
    KernelMaps::SetUp();
    if (IsSkipped()) return;
    from_ = &Make("ct4_old", BPF_MAP_TYPE_LRU_HASH, sizeof(ct_key4), sizeof(ct_entry), 16384);
    to_ = &Make("ct4", BPF_MAP_TYPE_LRU_HASH, sizeof(ct_key4), sizeof(ct_entry), 65536);
  }
  void Put(const kernel::BpfMap& map, uint32_t pod, const ct_entry& entry) {
    const ct_key4 key = Key(pod);
    ASSERT_TRUE(map.Update(&key, &entry).ok());
  }
  std::optional<ct_entry> Get(const kernel::BpfMap& map, uint32_t pod) {
    const ct_key4 key = Key(pod);
    ct_entry entry{};
    return map.Lookup(&key, &entry).ok() ? std::optional(entry) : std::nullopt;
  }

  const kernel::BpfMap* from_ = nullptr;
  const kernel::BpfMap* to_ = nullptr;
};

TEST_F(MoveConntrack, AddsWhatIsMissingAndNothingElse) {
  Put(*from_, 1, {.expires = 100, .flags = kOpen, .packets = {5, 6}});
  Put(*from_, 2, {.expires = 100, .flags = kOpen, .packets = {1, 1}});
  Put(*to_, 2, {.expires = 200, .flags = kOpen, .packets = {9, 9}});
  Put(*from_, 3, {.expires = 10, .flags = kClosed});
  Put(*to_, 3, {.expires = 300, .flags = kOpen, .packets = {7, 0}});
  const auto report = tables::MoveConntrack(*from_, *to_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->entries, 3u);
  EXPECT_EQ(report->moved, 1u);
  EXPECT_EQ(report->closed, 1u);
  EXPECT_EQ(Get(*to_, 1)->packets[1], 6u);
  EXPECT_EQ(Get(*to_, 2)->packets[0], 9u) << "what packets have changed since is newer";
  EXPECT_EQ(Get(*to_, 2)->expires, 200u);
  EXPECT_EQ(Get(*to_, 3)->flags, kClosed);
  EXPECT_EQ(Get(*to_, 3)->packets[0], 7u);
  const auto again = tables::MoveConntrack(*from_, *to_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->moved + again->closed, 0u);
}

TEST_F(MoveConntrack, RefusesAnotherLayout) {
  const auto& odd = Make("odd", BPF_MAP_TYPE_LRU_HASH, sizeof(ct_key4), 8, 16);
  EXPECT_FALSE(tables::MoveConntrack(odd, *to_).ok());
}

// Many flows are followed, and new ones opened, while the walk goes on again and again. Each count
// must be what its packets were: nothing is lost, nothing goes back.
TEST_F(MoveConntrack, LosesNothingBesideAWriter) {
  constexpr uint32_t kFlows = 5000;
  for (uint32_t pod = 0; pod < kFlows; ++pod) {
    Put(*from_, pod, {.expires = 1, .flags = kOpen, .packets = {100, 0}});
  }
  std::vector<uint64_t> sent(2 * kFlows);
  std::atomic<bool> failed = false;
  std::jthread packets([&](std::stop_token stop) {
    for (uint32_t n = 0; !stop.stop_requested(); ++n) {
      const uint32_t pod = n * 7919 % (2 * kFlows);  // half of them are new
      const ct_key4 key = Key(pod);
      ct_entry entry{};
      if (!to_->Lookup(&key, &entry).ok() && from_->Lookup(&key, &entry).ok()) {
        // A fetch; the walk may have been faster with the same entry.
        to_->Update(&key, &entry, kernel::UpdateMode::kOnlyNew).IgnoreError();
        failed = failed || !to_->Lookup(&key, &entry).ok();
      }
      const bool opened = entry.flags == 0;
      entry.flags = kOpen;
      ++entry.packets[0];
      ++sent[pod];
      failed = failed || !to_->Update(&key, &entry).ok();
      if (opened) failed = failed || !from_->Update(&key, &entry).ok();
    }
  });
  for (int walk = 0; walk < 20; ++walk) {
    const auto report = tables::MoveConntrack(*from_, *to_);
    ASSERT_TRUE(report.ok()) << report.status();
  }
  packets.request_stop();
  packets.join();
  EXPECT_FALSE(failed);
  ASSERT_TRUE(tables::MoveConntrack(*from_, *to_).ok());
  for (uint32_t pod = 0; pod < 2 * kFlows; ++pod) {
    const auto entry = Get(*to_, pod);
    if (pod >= kFlows && sent[pod] == 0) continue;
    ASSERT_TRUE(entry) << "flow " << pod << " is lost";
    ASSERT_EQ(entry->packets[0], (pod < kFlows ? 100 : 0) + sent[pod]) << "flow " << pod;
  }
}

}  // namespace
}  // namespace bonsai::tables
