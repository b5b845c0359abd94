// SPDX-License-Identifier: Apache-2.0
#include "agent/report/snapshot.h"

#include <utility>

namespace bonsai::report {

void PacketRates::Update(Time now, Snapshot& snapshot) {
  Sample sample{.time = now};
  for (const ReasonCount& count : snapshot.reasons) {
    (count.is_drop ? sample.drops : sample.forwards) += count.packets;
  }
  if (!samples_.empty() && (sample.drops < samples_.back().drops ||
                            sample.forwards < samples_.back().forwards)) {
    samples_.clear();
  }
  samples_.push_back(sample);
  // The oldest sample stays until the next one alone covers the window.
  while (samples_.size() > 2 && now - samples_[1].time >= kWindow) samples_.pop_front();
  const Sample& first = samples_.front();
  const double seconds = std::chrono::duration<double>(now - first.time).count();
  if (seconds <= 0) return;
  snapshot.drops_per_second = static_cast<double>(sample.drops - first.drops) / seconds;
  snapshot.forwards_per_second = static_cast<double>(sample.forwards - first.forwards) / seconds;
}

void Publisher::Publish(Snapshot snapshot) {
  const auto now = std::chrono::steady_clock::now();
  rates_.Update(now, snapshot);
  auto next = std::make_shared<const Snapshot>(std::move(snapshot));
  {
    std::lock_guard lock(mutex_);
    current_.swap(next);  // the old one dies outside the lock
    published_ = now;
  }
  changed_.notify_all();
}

std::shared_ptr<const Snapshot> Publisher::Current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

std::shared_ptr<const Snapshot> Publisher::WaitForOther(
    const std::shared_ptr<const Snapshot>& seen, std::stop_token stop) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [&] { return current_ != seen; });
  return current_;
}

std::chrono::steady_clock::duration Publisher::Age() const {
  std::lock_guard lock(mutex_);
  return std::chrono::steady_clock::now() - published_;
}

}  // namespace bonsai::report
