// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/change_thread.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>

#include "tests/unit/kernel/call_counter.h"

namespace bonsai::kernel {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using testing::CallCounter;

// An eventfd as the source of changes.
class Source {
 public:
  void Change() const { eventfd_write(fd_.get(), 1); }
  int fd() const { return fd_.get(); }
  ChangeThread::Drain Drain() const {
    return [fd = fd_.get()](bool polled) {
      eventfd_t value = 0;
      return eventfd_read(fd, &value) == 0 || polled;
    };
  }

 private:
  base::UniqueFd fd_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
};

std::unique_ptr<ChangeThread> MustStart(const Source& source, std::function<void()> on_change,
                                        ChangeTiming timing) {
  auto thread = ChangeThread::Start(source.fd(), source.Drain(), std::move(on_change), timing);
  if (!thread.ok()) ADD_FAILURE() << thread.status();
  return thread.ok() ? *std::move(thread) : nullptr;
}

TEST(ChangeThread, CallsOnceForABurst) {
  Source source;
  CallCounter counter;
  auto thread = MustStart(source, counter.Callback(), {.settle = milliseconds(300),
                                                       .longest = milliseconds(60000)});
  for (int i = 0; i < 10; ++i) source.Change();
  ASSERT_TRUE(counter.WaitForMoreThan(0));
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_EQ(counter.calls(), 1);
}

TEST(ChangeThread, DoesNotCallWithoutAChange) {
  Source source;
  CallCounter counter;
  auto thread = MustStart(source, counter.Callback(), {.settle = milliseconds(1)});
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(counter.calls(), 0);
}

TEST(ChangeThread, ReportsABurstThatDoesNotEnd) {
  Source source;
  CallCounter counter;
  auto thread = MustStart(source, counter.Callback(), {.settle = milliseconds(60000),
                                                       .longest = milliseconds(50)});
  std::jthread writer([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      source.Change();
      std::this_thread::sleep_for(milliseconds(2));
    }
  });
  EXPECT_TRUE(counter.WaitForMoreThan(2));
}

TEST(ChangeThread, CallsAgainForAChangeDuringACall) {
  Source source;
  CallCounter counter;
  std::atomic<bool> changed = false;
  auto thread = MustStart(source, [&] {
    if (!changed.exchange(true)) source.Change();
    counter.Callback()();
  }, {.settle = milliseconds(1)});
  source.Change();
  EXPECT_TRUE(counter.WaitForMoreThan(1));
}

TEST(ChangeThread, LooksSlowlyWithoutADescriptor) {
  CallCounter counter;
  auto thread = ChangeThread::Start(-1, [](bool polled) { return polled; }, counter.Callback(),
                                    {.poll = milliseconds(5)});
  ASSERT_TRUE(thread.ok()) << thread.status();
  EXPECT_TRUE(counter.WaitForMoreThan(3));
}

TEST(ChangeThread, StopsAtOnceAndCallsNoMore) {
  Source source;
  CallCounter counter;
  auto thread = MustStart(source, counter.Callback(), {.settle = milliseconds(60000),
                                                       .longest = milliseconds(60000),
                                                       .poll = milliseconds(60000)});
  source.Change();
  const auto start = Clock::now();
  thread.reset();
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(counter.calls(), 0);
}

}  // namespace
}  // namespace bonsai::kernel
