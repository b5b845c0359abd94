// SPDX-License-Identifier: Apache-2.0
#include "agent/base/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <stdexcept>
#include <thread>

namespace bonsai::base {
namespace {

TEST(Worker, WorksInAnotherThreadWhenOneIsToBeHad) {
  Worker worker;
  std::thread::id ran;
  worker.Do([&] { ran = std::this_thread::get_id(); });
  worker.Wait();
  EXPECT_NE(ran, std::thread::id());
  EXPECT_NE(ran, std::this_thread::get_id());
}

TEST(Worker, KeepsItsThreadWhenWorkComesLate) {
  Worker worker;
  ASSERT_TRUE(worker.Start());
  ASSERT_TRUE(worker.Start());
  std::thread::id first, second;
  worker.Do([&] { first = std::this_thread::get_id(); });
  worker.Wait();
  // Longer than it stays awake.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  worker.Do([&] { second = std::this_thread::get_id(); });
  worker.Wait();
  EXPECT_EQ(first, second);
}

TEST(Worker, DoesOnePieceAfterTheOtherWhenNotWaitedFor) {
  int done = 0;  // not atomic: a race is for the thread sanitizer to see
  {
    Worker worker;
    for (int i = 0; i < 1000; ++i) {
      worker.Do([&done, i] {
        EXPECT_EQ(done, i);
        ++done;
      });
    }
  }
  EXPECT_EQ(done, 1000);
}

TEST(Worker, HandsOnWhatWorkThrows) {
  Worker worker;
  worker.Do([] { throw std::runtime_error("no room"); });
  EXPECT_THROW(worker.Wait(), std::runtime_error);
  worker.Wait();  // once
}

TEST(Worker, ForgetsWhatWasThrownWhenNobodyWaited) {
  Worker worker;
  worker.Do([] { throw std::runtime_error("no room"); });
  worker.Settle();
  worker.Do([] {});
  worker.Wait();
}

TEST(Both, RunSideBySideWhenThereIsAWorker) {
  Worker worker;
  std::binary_semaphore met{0};
  const absl::Status status = Both(
      &worker, [&] { met.acquire(); return absl::OkStatus(); },
      [&] { met.release(); return absl::OkStatus(); });
  EXPECT_TRUE(status.ok());
}

TEST(Both, FailWithWhatTheFirstFailsWith) {
  Worker worker;
  for (Worker* const one : {&worker, static_cast<Worker*>(nullptr)}) {
    const auto fails = [](const char* why) { return [why] { return absl::InternalError(why); }; };
    const auto works = [] { return absl::OkStatus(); };
    EXPECT_EQ(Both(one, fails("a"), fails("b")).message(), "a");
    EXPECT_EQ(Both(one, works, fails("b")).message(), "b");
    EXPECT_EQ(Both(one, fails("a"), works).message(), "a");
  }
}

TEST(Both, FailWithTheFirstWhenTheSecondThrows) {
  Worker worker;
  const absl::Status status = Both(
      &worker, [] { return absl::InternalError("a"); },
      []() -> absl::Status { throw std::runtime_error("no room"); });
  EXPECT_EQ(status.message(), "a");
  EXPECT_TRUE(Both(&worker, [] { return absl::OkStatus(); }, [] { return absl::OkStatus(); }).ok());
}

TEST(Both, WaitForTheSecondWhenTheFirstThrows) {
  Worker worker;
  std::atomic<bool> done = false;
  const auto run = [&] {
    return Both(
        &worker, []() -> absl::Status { throw std::runtime_error("no room"); },
        [&] {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          done = true;
          return absl::OkStatus();
        });
  };
  EXPECT_THROW((void)run(), std::runtime_error);
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace bonsai::base
