// SPDX-License-Identifier: Apache-2.0
#include "agent/report/life_service.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>
#include <utility>

#include "agent/base/status.h"

namespace bonsai::report {
namespace {

constexpr size_t kMostRleBytes = 1 << 20;
constexpr uint64_t kMostSteps = 1'000'000;
constexpr double kLongestInterval = 3600;
constexpr double kShortestWatch = 0.02;
// How soon a stream or a step notices that its client left or the server stops.
constexpr std::chrono::milliseconds kTick{100};
constexpr double kNanos = 1e9;

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), base::Message(status));
}

absl::StatusOr<LifeSeed> ToSeed(const v1::SeedBoardRequest& request) {
  LifeSeed seed;
  if (request.has_rle()) {
    if (request.rle().size() > kMostRleBytes) {
      return base::InvalidArgument("reading the pattern: it has more than {} bytes", kMostRleBytes);
    }
    ASSIGN_OR_RETURN(seed.pattern, tables::ParseLifeRle(request.rle()));
    return seed;
  }
  if (request.name() == "random") {
    seed.number = request.random_seed() != 0 ? request.random_seed() : std::random_device()();
    return seed;
  }
  auto named = tables::NamedLifePattern(request.name());
  if (!named.ok()) return base::InvalidArgument("{}", base::Message(named.status()));
  seed.pattern = *std::move(named);
  return seed;
}

absl::StatusOr<LifeAction> ToAction(const v1::ControlBoardRequest& request) {
  switch (request.action_case()) {
    case v1::ControlBoardRequest::kPause:
      if (request.pause()) return LifePause();
      break;
    case v1::ControlBoardRequest::kResume:
      if (request.resume()) return LifeResume();
      break;
    case v1::ControlBoardRequest::kStep:
      if (request.step() >= 1 && request.step() <= kMostSteps) return LifeStep{request.step()};
      return base::InvalidArgument("stepping: 1..{} generations at a time, not {}", kMostSteps,
                                   request.step());
    case v1::ControlBoardRequest::kIntervalSeconds: {
      const double seconds = request.interval_seconds();
      if (std::isfinite(seconds) && seconds >= 0 && seconds <= kLongestInterval) {
        return LifeSpeed{std::chrono::nanoseconds(std::llround(seconds * kNanos))};
      }
      return base::InvalidArgument("changing the speed: 0..{} seconds between generations, not {}",
                                   kLongestInterval, seconds);
    }
    case v1::ControlBoardRequest::ACTION_NOT_SET:
      break;
  }
  return base::InvalidArgument("controlling the board: say what to do: pause, resume, step or "
                               "interval_seconds");
}

}  // namespace

v1::LifeState ToLifeState(const life_state& state) {
  v1::LifeState to;
  to.set_generation(state.generation);
  to.set_population(state.population);
  to.set_width(state.width);
  to.set_height(state.height);
  to.set_paused(tables::IsPaused(state));
  to.set_interval_seconds(static_cast<double>(state.interval_ns) / kNanos);
  to.set_generations_total(state.generations);
  to.set_cpu_seconds_total(static_cast<double>(state.total_ns) / kNanos);
  to.set_last_cpu_seconds(static_cast<double>(state.last_ns) / kNanos);
  to.set_longest_slice_seconds(static_cast<double>(state.longest_ns) / kNanos);
  to.set_seeds(state.seeds / 2);
  return to;
}

v1::LifeBoard ToLifeBoard(const tables::LifeView& view) {
  v1::LifeBoard board;
  *board.mutable_state() = ToLifeState(view.state);
  board.set_cells(std::string(view.grid.bytes().begin(), view.grid.bytes().end()));
  return board;
}

LifeDesk::Cancelled LifeService::Gone(const grpc::ServerContext& context) const {
  return [this, &context] { return ending_ || context.IsCancelled(); };
}

grpc::Status LifeService::Failed(const absl::Status& status) const {
  if (ending_ && absl::IsCancelled(status)) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the agent stops");
  }
  return ToGrpc(status);
}

grpc::Status LifeService::GetBoard(grpc::ServerContext* context, const v1::GetBoardRequest*,
                                   v1::GetBoardResponse* response) {
  const auto view = desk_.Read(Gone(*context));
  if (!view.ok()) return Failed(view.status());
  *response->mutable_board() = ToLifeBoard(*view);
  return grpc::Status::OK;
}

// One of those who watch: what it was sent last, and when it may be sent more.
class LifeService::Watcher {
 public:
  using Clock = std::chrono::steady_clock;

  Watcher(std::atomic<int>& watchers, double interval_seconds)
      : watchers_(watchers),
        number_(++watchers),
        // The comparison is false for what is no number, too.
        interval_(interval_seconds > kShortestWatch ? std::min(interval_seconds, kLongestInterval)
                                                    : kShortestWatch) {}
  ~Watcher() { --watchers_; }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  bool granted() const { return number_ <= kMostWatchers; }
  // Returns in kTick at the latest. Whether the time has come.
  bool IsTime() const {
    const Clock::time_point now = Clock::now();
    if (now >= next_) return true;
    std::this_thread::sleep_until(std::min(next_, now + kTick));
    return false;
  }
  // Whether the client takes more.
  bool Send(const tables::LifeView& view, grpc::ServerWriter<v1::WatchBoardResponse>& writer) {
    const std::pair now{view.state.seeds, view.state.generation};
    if (now == sent_) return true;
    sent_ = now;
    next_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(interval_);
    v1::WatchBoardResponse response;
    *response.mutable_board() = ToLifeBoard(view);
    return writer.Write(response);
  }

 private:
  std::atomic<int>& watchers_;
  const int number_;
  const std::chrono::duration<double> interval_;
  Clock::time_point next_{};
  std::pair<__u64, __u64> sent_{1, 0};  // the number of seeds is never odd in an answer
};

grpc::Status LifeService::WatchBoard(grpc::ServerContext* context,
                                     const v1::WatchBoardRequest* request,
                                     grpc::ServerWriter<v1::WatchBoardResponse>* writer) {
  Watcher watcher(watchers_, request->interval_seconds());
  if (!watcher.granted()) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        fmt::format("watching the board: {} watch already", kMostWatchers));
  }
  const auto gone = Gone(*context);
  uint64_t told = 0;
  while (!gone()) {
    if (!watcher.IsTime()) continue;
    const auto view = desk_.Read(gone);
    if (!view.ok()) return Failed(view.status());
    if (!watcher.Send(*view, *writer)) break;
    told = desk_.WaitForNews(told, kTick);
  }
  return ending_ ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the agent stops")
                 : grpc::Status::OK;
}

grpc::Status LifeService::SeedBoard(grpc::ServerContext* context,
                                    const v1::SeedBoardRequest* request,
                                    v1::SeedBoardResponse* response) {
  auto seed = ToSeed(*request);
  if (!seed.ok()) return ToGrpc(seed.status());
  const auto view = desk_.Do(*std::move(seed), Gone(*context));
  if (!view.ok()) return Failed(view.status());
  *response->mutable_state() = ToLifeState(view->state);
  return grpc::Status::OK;
}

absl::Status LifeService::WaitForStep(uint64_t seeds, uint64_t generation,
                                      const LifeDesk::Cancelled& gone, life_state& state) {
  uint64_t told = 0;
  while (!gone()) {
    ASSIGN_OR_RETURN(state, desk_.State());
    if (state.seeds != seeds) {
      return absl::AbortedError("stepping: another board was put in its place on the way");
    }
    if (state.generation >= generation) return absl::OkStatus();
    if (tables::IsPaused(state)) {
      return base::MakeStatus(absl::StatusCode::kAborted,
                              "stepping: somebody paused the board at generation {}, before {}",
                              state.generation, generation);
    }
    told = desk_.WaitForNews(told, kTick);
  }
  return absl::CancelledError("nobody waits for the step any more");
}

grpc::Status LifeService::ControlBoard(grpc::ServerContext* context,
                                       const v1::ControlBoardRequest* request,
                                       v1::ControlBoardResponse* response) {
  auto action = ToAction(*request);
  if (!action.ok()) return ToGrpc(action.status());
  const bool steps = std::holds_alternative<LifeStep>(*action);
  const auto gone = Gone(*context);
  auto view = desk_.Do(*std::move(action), gone);
  if (!view.ok()) return Failed(view.status());
  life_state state = view->state;
  if (steps) {
    const absl::Status done = WaitForStep(state.seeds, state.run_until, gone, state);
    if (!done.ok()) return Failed(done);
  }
  *response->mutable_state() = ToLifeState(state);
  return grpc::Status::OK;
}

}  // namespace bonsai::report
