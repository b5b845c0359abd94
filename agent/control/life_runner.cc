// SPDX-License-Identifier: Apache-2.0
#include "agent/control/life_runner.h"

#include <cerrno>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_program.h"
#include "agent/tables/life_board.h"
#include "agent/tables/life_pattern.h"

namespace bonsai::control {
namespace {

using tables::LifeGrid;
using tables::LifeView;

constexpr uint64_t kNanosPerMilli = 1'000'000;
constexpr char kObject[] = "life", kStart[] = "life_start", kStop[] = "life_stop";

absl::StatusOr<std::shared_ptr<const tables::LifeMaps>> OpenMaps(const load::Loaded& loaded) {
  const kernel::BpfMap* even = loaded.FindMap("life_even");
  const kernel::BpfMap* odd = loaded.FindMap("life_odd");
  const kernel::BpfMap* state = loaded.FindMap("life_state");
  if (even == nullptr || odd == nullptr || state == nullptr) {
    return base::Internal("opening the board: its programs are loaded without their maps");
  }
  ASSIGN_OR_RETURN(kernel::BpfMap own_even, even->Duplicate());
  ASSIGN_OR_RETURN(kernel::BpfMap own_odd, odd->Duplicate());
  ASSIGN_OR_RETURN(kernel::BpfMap own_state, state->Duplicate());
  return std::make_shared<const tables::LifeMaps>(
      tables::LifeMaps{std::move(own_even), std::move(own_odd), std::move(own_state)});
}

LifeGrid FirstBoard(const settings::Settings& settings) {
  const auto width = static_cast<uint32_t>(settings.Uint("life-width"));
  const auto height = static_cast<uint32_t>(settings.Uint("life-height"));
  const auto named = tables::NamedLifePattern(settings.String("life-seed"));
  if (named.ok()) {
    auto placed = tables::PlaceLifePattern(*named, width, height);
    if (placed.ok()) return *std::move(placed);
  }
  return tables::RandomLife(width, height, std::random_device()());
}

bool IsBoardOf(const settings::Settings& settings, const life_state& state) {
  // An odd number: an agent ended while it wrote the board.
  return state.width == settings.Uint("life-width") &&
         state.height == settings.Uint("life-height") && state.seeds % 2 == 0;
}

// A timer's memory is allocated without waiting for anything (6.18), which fails now and then on a busy
// node that has plenty.
constexpr int kAttempts = 50;
constexpr std::chrono::milliseconds kBetweenAttempts{1};

absl::Status Run(const base::UniqueFd& program, const std::string& name) {
  int error = ENOMEM;
  for (int attempt = 0; attempt < kAttempts && error == ENOMEM; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kBetweenAttempts);
    auto result = kernel::RunProgram(program.get(), {}, {});
    if (!result.ok()) return base::Annotate(result.status(), "running " + name);
    error = -static_cast<int>(result->retval);
  }
  return error == 0 ? absl::OkStatus() : base::ErrnoStatus(error, "running " + name);
}

absl::StatusOr<LifeGrid> GridOf(const report::LifeSeed& seed, const life_state& state) {
  if (!seed.pattern) return tables::RandomLife(state.width, state.height, seed.number);
  return tables::PlaceLifePattern(*seed.pattern, state.width, state.height);
}

// While the timer stands still.
void Perform(const report::LifeAction& action, life_state& state) {
  if (std::holds_alternative<report::LifePause>(action)) state.run_until = state.generation;
  if (std::holds_alternative<report::LifeResume>(action)) state.run_until = tables::kLifeForever;
  if (const auto* step = std::get_if<report::LifeStep>(&action)) {
    state.run_until = state.generation + step->generations;
  }
  if (const auto* speed = std::get_if<report::LifeSpeed>(&action)) {
    state.interval_ns = static_cast<uint64_t>(speed->interval.count());
  }
}

absl::Status WhyNone(const settings::Settings& settings) {
  if (!settings.Bool("enable-game-of-life")) {
    return base::FailedPrecondition("there is no board: enable-game-of-life is false");
  }
  return base::FailedPrecondition("there is no board: this kernel has no helper bpf_loop (5.17)");
}

}  // namespace

absl::Status LifeRunner::Take(const load::Loaded& loaded, const settings::Settings& settings) {
  maps_ = nullptr;
  start_ = base::UniqueFd();
  stop_ = base::UniqueFd();
  if (loaded.ProgramFd(kObject, kStart) < 0) {
    desk_.Offer(nullptr, WhyNone(settings));
    return feed_.Replace(-1);
  }
  absl::Status status = Adopt(loaded, settings);
  if (!status.ok()) {
    maps_ = nullptr;
    status = base::Annotate(status, "setting the board going");
  }
  desk_.Offer(maps_, status);
  return status;
}

absl::Status LifeRunner::Adopt(const load::Loaded& loaded, const settings::Settings& settings) {
  ASSIGN_OR_RETURN(start_, kernel::DuplicateProgram(loaded.ProgramFd(kObject, kStart)));
  ASSIGN_OR_RETURN(stop_, kernel::DuplicateProgram(loaded.ProgramFd(kObject, kStop)));
  ASSIGN_OR_RETURN(maps_, OpenMaps(loaded));
  const kernel::BpfMap* events = loaded.FindMap("life_events");
  RETURN_IF_ERROR(feed_.Replace(events == nullptr ? -1 : events->fd()));
  std::optional<LifeGrid> first;
  ASSIGN_OR_RETURN(const life_state found, tables::ReadLifeState(maps_->state));
  if (!IsBoardOf(settings, found)) first = FirstBoard(settings);
  const auto adopt = [&](life_state& state) {
    const auto interval = static_cast<uint32_t>(settings.Uint("life-interval-ms"));
    if (state.width == 0 || state.interval_ms != interval) {
      state.interval_ms = interval;
      state.interval_ns = interval * kNanosPerMilli;
    }
    return first ? tables::WriteLife(*maps_, *first, state) : absl::OkStatus();
  };
  return Held(/*with_board=*/false, adopt).status();
}

absl::StatusOr<LifeView> LifeRunner::Held(bool with_board, const Change& change) {
  RETURN_IF_ERROR(Run(stop_, kStop));
  absl::StatusOr<LifeView> held = [&]() -> absl::StatusOr<LifeView> {
    LifeView view;
    ASSIGN_OR_RETURN(view.state, tables::ReadLifeState(maps_->state));
    const absl::Status changed = change(view.state);
    constexpr uint32_t kTheOne = 0;
    if (changed.ok()) RETURN_IF_ERROR(maps_->state.Update(&kTheOne, &view.state));
    RETURN_IF_ERROR(changed);
    if (!with_board) return view;
    ASSIGN_OR_RETURN(auto board, tables::ReadLife(*maps_));
    if (!board) return base::Internal("reading the board: it is not whole though it stands still");
    return *std::move(board);
  }();
  const absl::Status started = Run(start_, kStart);
  if (held.ok() && !started.ok()) return started;
  return held;
}

absl::StatusOr<LifeView> LifeRunner::Do(const report::LifeAction& action) {
  if (const auto* seed = std::get_if<report::LifeSeed>(&action)) {
    // Made before the timer is stopped: should the agent end meanwhile, the board goes on.
    ASSIGN_OR_RETURN(const life_state before, tables::ReadLifeState(maps_->state));
    ASSIGN_OR_RETURN(const LifeGrid grid, GridOf(*seed, before));
    return Held(/*with_board=*/false,
                [&](life_state& state) { return tables::WriteLife(*maps_, grid, state); });
  }
  const bool holds = std::holds_alternative<report::LifeHold>(action);
  return Held(holds, [&](life_state& state) {
    Perform(action, state);
    return absl::OkStatus();
  });
}

void LifeRunner::Serve() {
  for (report::LifeDesk::Request& request : desk_.TakeRequests()) {
    if (maps_ == nullptr) {
      request.answer.set_value(base::Unavailable("there is no board just now"));
      continue;
    }
    request.answer.set_value(Do(request.action));
  }
}

std::optional<life_state> LifeRunner::State() const {
  if (maps_ == nullptr) return std::nullopt;
  auto state = tables::ReadLifeState(maps_->state);
  if (!state.ok()) return std::nullopt;
  return *state;
}

}  // namespace bonsai::control
