// SPDX-License-Identifier: Apache-2.0
#include "agent/report/flow_hub.h"

#include <algorithm>
#include <utility>

#include "agent/base/status.h"

namespace bonsai::report {

FlowHub::Subscription::~Subscription() {
  std::lock_guard lock(hub_.mutex_);
  hub_.subscriptions_.erase(this);
}

FlowHub::Subscription::Item FlowHub::Subscription::Next(std::chrono::milliseconds timeout) {
  std::unique_lock lock(hub_.mutex_);
  ready_.wait_for(lock, timeout, [&] { return !queue_.empty(); });
  Item item;
  if (queue_.empty()) return item;
  item.flow = std::move(queue_.front());
  queue_.pop_front();
  item.lost = std::exchange(lost_, 0);
  return item;
}

absl::StatusOr<std::unique_ptr<FlowHub::Subscription>> FlowHub::Subscribe(FlowFilter filter,
                                                                          size_t last) {
  std::unique_ptr<Subscription> subscription(new Subscription(*this, std::move(filter)));
  std::lock_guard lock(mutex_);
  if (subscriptions_.size() >= limits_.subscriptions) {
    return base::MakeStatus(absl::StatusCode::kResourceExhausted,
                            "reading flows: {} readers are connected already; end one of them",
                            subscriptions_.size());
  }
  auto& backlog = subscription->backlog_;
  auto flow = kept_flows_.rbegin();
  auto l7 = kept_l7_.rbegin();
  while (backlog.size() < last && (flow != kept_flows_.rend() || l7 != kept_l7_.rend())) {
    const bool take_l7 = flow == kept_flows_.rend() ||
                         (l7 != kept_l7_.rend() && l7->sequence > flow->sequence);
    const FlowPtr& newest = take_l7 ? (l7++)->flow : (flow++)->flow;
    if (subscription->filter_.Matches(*newest)) backlog.push_back(newest);
  }
  std::reverse(backlog.begin(), backlog.end());
  subscriptions_.insert(subscription.get());
  return subscription;
}

void FlowHub::Push(Flow flow) {
  auto shared = std::make_shared<const Flow>(std::move(flow));
  FlowPtr evicted;  // dies outside the lock
  ++received_;
  std::lock_guard lock(mutex_);
  std::deque<Kept>& kept = shared->l7_kind != 0 ? kept_l7_ : kept_flows_;
  kept.push_back({sequence_++, shared});
  if (kept.size() > limits_.kept) {
    evicted = std::move(kept.front().flow);
    kept.pop_front();
  }
  for (Subscription* subscription : subscriptions_) {
    if (!subscription->filter_.Matches(*shared)) continue;
    subscription->queue_.push_back(shared);
    if (subscription->queue_.size() > limits_.queue) {
      subscription->queue_.pop_front();
      ++subscription->lost_;
      ++lost_;
    }
    subscription->ready_.notify_one();
  }
}

}  // namespace bonsai::report
