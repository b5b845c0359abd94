// SPDX-License-Identifier: Apache-2.0
// LifeDesk: where those who ask about the board of feature life meet the reconciler, who alone writes
// it. Readers copy the board from the maps themselves; what changes it, and a board that moves too
// fast to be copied whole, waits here until the reconciler has done it. Thread-safe; outlives both.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "agent/tables/life_board.h"
#include "agent/tables/life_pattern.h"

namespace bonsai::report {

struct LifeHold {};                          // nothing but a copy, taken while it stands still
struct LifeSeed {
  std::optional<tables::LifePattern> pattern;  // none: random
  uint64_t number = 0;                       // of random
};
struct LifePause {};
struct LifeResume {};
struct LifeStep {
  uint64_t generations = 1;
};
struct LifeSpeed {
  std::chrono::nanoseconds interval{0};
};
using LifeAction = std::variant<LifeHold, LifeSeed, LifePause, LifeResume, LifeStep, LifeSpeed>;

class LifeDesk {
 public:
  using Cancelled = std::function<bool()>;
  static constexpr size_t kMostWaiting = 64;
  // The reconciler may be busy with a change of configuration.
  static constexpr std::chrono::seconds kLongestWait{10};

  // `post`: tells the reconciler that somebody waits. Any thread calls it.
  explicit LifeDesk(std::function<void()> post) : post_(std::move(post)) {}

  // ---- for those who ask ----
  // FailedPrecondition: the feature is off; Unavailable: it moves too fast and nobody could hold it.
  absl::StatusOr<tables::LifeView> Read(const Cancelled& cancelled);
  absl::StatusOr<life_state> State() const;
  // Done when this returns, but for the generations of a step. Unavailable: the reconciler did not
  // come to it in kLongestWait; Cancelled; after both it is not done any more, unless it had been
  // begun. ResourceExhausted: too many wait.
  absl::StatusOr<tables::LifeView> Do(LifeAction action, const Cancelled& cancelled);
  // Waits until the kernel has told of another generation than `told`, or for `timeout`. Returns what
  // to pass the next time.
  uint64_t WaitForNews(uint64_t told, std::chrono::milliseconds timeout) const;

  // ---- for the reader of the ring buffer ----
  void TellNews();

  // ---- for the reconciler ----
  // What readers copy from; null: there is none, for the reason of `why_none`.
  void Offer(std::shared_ptr<const tables::LifeMaps> maps, const absl::Status& why_none);
  struct Request {
    LifeAction action;
    std::promise<absl::StatusOr<tables::LifeView>> answer;
    uint64_t ticket = 0;  // of those that wait, a number of its own
  };
  // Each has to be answered.
  std::vector<Request> TakeRequests();

 private:
  absl::StatusOr<std::shared_ptr<const tables::LifeMaps>> Maps() const;
  void Withdraw(uint64_t ticket);

  const std::function<void()> post_;
  mutable std::mutex mutex_;
  mutable std::condition_variable news_;
  uint64_t told_ = 0;                               // guarded by mutex_, like all below
  std::shared_ptr<const tables::LifeMaps> maps_;
  absl::Status why_none_ = absl::UnavailableError("the agent starts");
  std::deque<Request> waiting_;
  uint64_t tickets_ = 0;
};

}  // namespace bonsai::report
