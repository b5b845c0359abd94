// SPDX-License-Identifier: Apache-2.0
#include "agent/report/snapshot.h"

#include <gtest/gtest.h>

#include <thread>

namespace bonsai::report {
namespace {

using std::chrono::seconds;

Snapshot Counted(uint64_t drops, uint64_t forwards) {
  Snapshot snapshot;
  snapshot.reasons = {{.reason = "forwarded", .hook = "from-pod", .packets = forwards},
                      {.reason = "prefilter", .hook = "xdp", .is_drop = true, .packets = drops}};
  return snapshot;
}

TEST(PacketRates, ZeroOnTheFirstSample) {
  PacketRates rates;
  Snapshot snapshot = Counted(100, 100);
  rates.Update(PacketRates::Time(seconds(1)), snapshot);
  EXPECT_EQ(snapshot.drops_per_second, 0);
  EXPECT_EQ(snapshot.forwards_per_second, 0);
}

TEST(PacketRates, DifferenceOverTimeWithinTheWindow) {
  PacketRates rates;
  Snapshot snapshot = Counted(100, 1000);
  rates.Update(PacketRates::Time(seconds(1)), snapshot);
  snapshot = Counted(110, 1500);
  rates.Update(PacketRates::Time(seconds(6)), snapshot);
  EXPECT_DOUBLE_EQ(snapshot.drops_per_second, 2);
  EXPECT_DOUBLE_EQ(snapshot.forwards_per_second, 100);
}

TEST(PacketRates, ForgetsWhatIsOlderThanTheWindow) {
  PacketRates rates;
  Snapshot snapshot = Counted(0, 0);
  rates.Update(PacketRates::Time(seconds(0)), snapshot);
  snapshot = Counted(1000, 0);
  rates.Update(PacketRates::Time(seconds(1)), snapshot);
  for (int second = 2; second <= 30; ++second) {
    snapshot = Counted(1000, 0);
    rates.Update(PacketRates::Time(seconds(second)), snapshot);
  }
  EXPECT_EQ(snapshot.drops_per_second, 0);
}

TEST(PacketRates, StartsOverWhenCountersFall) {
  PacketRates rates;
  Snapshot snapshot = Counted(1000, 0);
  rates.Update(PacketRates::Time(seconds(1)), snapshot);
  snapshot = Counted(3, 0);
  rates.Update(PacketRates::Time(seconds(2)), snapshot);
  EXPECT_EQ(snapshot.drops_per_second, 0);
  snapshot = Counted(5, 0);
  rates.Update(PacketRates::Time(seconds(3)), snapshot);
  EXPECT_DOUBLE_EQ(snapshot.drops_per_second, 2);
}

TEST(Publisher, WakesTheWaiterWhenAnotherSnapshotIsPublished) {
  Publisher publisher;
  const auto seen = publisher.Current();
  std::jthread writer([&] { publisher.Publish(Snapshot{.version = "next"}); });
  EXPECT_EQ(publisher.WaitForOther(seen, std::stop_token())->version, "next");
}

TEST(Publisher, WaitEndsWhenStopIsRequested) {
  Publisher publisher;
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const auto seen = publisher.Current();
  EXPECT_EQ(publisher.WaitForOther(seen, stop.get_token()), seen);
}

TEST(Publisher, AgeRestartsWithEachSnapshot) {
  Publisher publisher;
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_GE(publisher.Age(), std::chrono::milliseconds(30));
  const auto before = std::chrono::steady_clock::now();
  publisher.Publish(Snapshot());
  EXPECT_LE(publisher.Age(), std::chrono::steady_clock::now() - before);
}

}  // namespace
}  // namespace bonsai::report
