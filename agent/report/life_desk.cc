// SPDX-License-Identifier: Apache-2.0
#include "agent/report/life_desk.h"

#include <utility>

#include "agent/base/status.h"

namespace bonsai::report {
namespace {

constexpr std::chrono::milliseconds kTick{50};  // how soon a waiter sees that nobody waits for it

}  // namespace

absl::StatusOr<std::shared_ptr<const tables::LifeMaps>> LifeDesk::Maps() const {
  std::lock_guard lock(mutex_);
  if (maps_ == nullptr) return why_none_;
  return maps_;
}

absl::StatusOr<life_state> LifeDesk::State() const {
  ASSIGN_OR_RETURN(const auto maps, Maps());
  return tables::ReadLifeState(maps->state);
}

absl::StatusOr<tables::LifeView> LifeDesk::Read(const Cancelled& cancelled) {
  ASSIGN_OR_RETURN(const auto maps, Maps());
  ASSIGN_OR_RETURN(auto view, tables::ReadLife(*maps));
  if (view) return *std::move(view);
  return Do(LifeHold(), cancelled);
}

absl::StatusOr<tables::LifeView> LifeDesk::Do(LifeAction action, const Cancelled& cancelled) {
  RETURN_IF_ERROR(Maps().status());
  std::future<absl::StatusOr<tables::LifeView>> answer;
  uint64_t ticket = 0;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostWaiting) {
      return base::MakeStatus(absl::StatusCode::kResourceExhausted,
                              "asking for the board: {} requests wait already", kMostWaiting);
    }
    ticket = ++tickets_;
    waiting_.push_back({.action = std::move(action), .answer = {}, .ticket = ticket});
    answer = waiting_.back().answer.get_future();
  }
  post_();
  const auto end = std::chrono::steady_clock::now() + kLongestWait;
  while (answer.wait_for(kTick) != std::future_status::ready) {
    if (cancelled && cancelled()) {
      Withdraw(ticket);
      return absl::CancelledError("nobody waits for the board any more");
    }
    if (std::chrono::steady_clock::now() >= end) {
      Withdraw(ticket);
      return base::Unavailable("asking for the board: the agent is busy with something else");
    }
  }
  return answer.get();
}

void LifeDesk::Withdraw(uint64_t ticket) {
  std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const Request& request) { return request.ticket == ticket; });
}

uint64_t LifeDesk::WaitForNews(uint64_t told, std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  news_.wait_for(lock, timeout, [&] { return told_ != told; });
  return told_;
}

void LifeDesk::TellNews() {
  std::lock_guard lock(mutex_);
  ++told_;
  news_.notify_all();
}

void LifeDesk::Offer(std::shared_ptr<const tables::LifeMaps> maps, const absl::Status& why_none) {
  std::lock_guard lock(mutex_);
  maps_ = std::move(maps);
  why_none_ = why_none;
  ++told_;
  news_.notify_all();
}

std::vector<LifeDesk::Request> LifeDesk::TakeRequests() {
  std::lock_guard lock(mutex_);
  std::vector<Request> taken;
  for (Request& request : waiting_) taken.push_back(std::move(request));
  waiting_.clear();
  return taken;
}

}  // namespace bonsai::report
