// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/life.h"

#include <sys/eventfd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "agent/base/status.h"
#include "agent/cli/document.h"
#include "agent/cli/life_draw.h"
#include "agent/cli/life_screen.h"
#include "agent/tables/life_pattern.h"

namespace bonsai::cli {
namespace {

constexpr double kDefaultTimeout = 5;
constexpr double kFrameSeconds = 0.04;
constexpr size_t kMostFileBytes = 1 << 20;
constexpr int kIdleMillis = 500;
constexpr char kKeys[] = "q leave  p pause  s step";

Client::Timeout TimeoutOf(const Options& options) {
  return Client::Timeout(options.timeout.value_or(kDefaultTimeout));
}

std::string Document(const v1::LifeState& state, Format format, Style style) {
  if (format == Format::kJson) return ToJson(state);
  if (format == Format::kYaml) return ToYaml(state);
  return Render(state, style);
}

std::string Document(const v1::LifeBoard& board, Format format, Style style) {
  if (format == Format::kJson) return LifeJson(board);
  if (format == Format::kYaml) return LifeYaml(board);
  return Render(board, style);
}

// The stream's thread, and the last board that it brought.
class Watch {
 public:
  explicit Watch(Client& client)
      : news_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        thread_([this, &client](std::stop_token stop) {
          absl::Status status = client.WatchBoard(
              kFrameSeconds, stop, [this](const v1::LifeBoard& board) { Put(board); });
          std::lock_guard lock(mutex_);
          ended_ = status.ok() ? base::Unavailable("watching the board: the agent ended it")
                               : std::move(status);
          ::eventfd_write(news_.get(), 1);
        }) {}

  int news() const { return news_.get(); }

  // Into `board` what came last, if anything did. An error: no more will come.
  absl::Status Take(std::optional<v1::LifeBoard>& board) {
    eventfd_t ignored;
    ::eventfd_read(news_.get(), &ignored);
    std::lock_guard lock(mutex_);
    if (last_) board = std::exchange(last_, std::nullopt);
    return ended_;
  }

 private:
  void Put(const v1::LifeBoard& board) {
    std::lock_guard lock(mutex_);
    last_ = board;
    ::eventfd_write(news_.get(), 1);
  }

  base::UniqueFd news_;
  std::mutex mutex_;
  std::optional<v1::LifeBoard> last_;  // guarded by mutex_
  absl::Status ended_;                 // guarded by mutex_
  std::jthread thread_;                // last: ends before what it uses
};

absl::Status Press(LifeScreen::Event key, bool paused, Client& client, const Options& options) {
  v1::ControlBoardRequest request;
  if (key == LifeScreen::Event::kStep) {
    request.set_step(1);
  } else {
    paused ? request.set_resume(true) : request.set_pause(true);
  }
  const absl::Status status = client.ControlBoard(request, TimeoutOf(options)).status();
  // Somebody else broke the step off, or it takes long: what is drawn shows it.
  const bool seen = absl::IsAborted(status) || absl::IsDeadlineExceeded(status);
  return request.has_step() && seen ? absl::OkStatus() : status;
}

void Show(LifeScreen& screen, const v1::LifeBoard& board, bool paused, Style style) {
  const LifeScreen::Size size = screen.size();
  const size_t lines = size.lines > 1 ? size.lines - 1 : 1;
  v1::LifeState state = board.state();
  state.set_paused(paused);
  std::string status = DescribeLife(state) + "  " + kKeys;
  if (status.size() > size.columns) status.resize(size.columns);
  screen.Show(DrawLife(GridOf(board), size.columns, lines), status, style);
}

absl::Status DrawLive(const Options& options, Client& client, Style style) {
  const SignalsHeld held;
  // Before the terminal is taken: what is wrong is then said where it can be read.
  ASSIGN_OR_RETURN(const v1::LifeBoard first, client.GetBoard(TimeoutOf(options)));
  ASSIGN_OR_RETURN(const auto screen, LifeScreen::Open(held));
  Client other(options.socket);  // one for each thread
  Watch watch(other);
  std::optional<v1::LifeBoard> board = first;
  bool paused = first.state().paused();
  Show(*screen, *board, paused, style);
  while (true) {
    const LifeScreen::Event event = screen->Wait(watch.news(), kIdleMillis);
    if (event == LifeScreen::Event::kQuit) return absl::OkStatus();
    if (event == LifeScreen::Event::kPause || event == LifeScreen::Event::kStep) {
      RETURN_IF_ERROR(Press(event, paused, client, options));
      paused = event == LifeScreen::Event::kStep || !paused;
    }
    if (event == LifeScreen::Event::kNone) continue;
    const uint64_t before = board->state().generation();
    RETURN_IF_ERROR(watch.Take(board));
    // Someone else may have pressed; a step of ours leaves it standing.
    if (board->state().generation() != before && event == LifeScreen::Event::kNews) {
      paused = board->state().paused();
    }
    Show(*screen, *board, paused, style);
  }
}

// A step takes as long as its generations do.
absl::StatusOr<v1::LifeState> Step(const v1::ControlBoardRequest& request, Client& client,
                                   const Options& options) {
  std::optional<Client::Timeout> timeout;
  if (options.timeout) timeout.emplace(*options.timeout);
  auto state = client.ControlBoard(request, timeout);
  if (!absl::IsDeadlineExceeded(state.status())) return state;
  return base::MakeStatus(absl::StatusCode::kDeadlineExceeded,
                          "{}; a step that has begun goes on to its last generation",
                          base::Message(state.status()));
}

v1::ControlBoardRequest ControlRequest(const LifeOptions& options) {
  v1::ControlBoardRequest request;
  if (options.action == "pause") request.set_pause(true);
  if (options.action == "resume") request.set_resume(true);
  if (options.action == "step") request.set_step(options.generations);
  if (options.action == "speed") request.set_interval_seconds(options.interval_ms / 1000);
  return request;
}

}  // namespace

absl::StatusOr<v1::SeedBoardRequest> SeedRequest(const LifeOptions& options) {
  v1::SeedBoardRequest request;
  request.set_random_seed(options.number);
  const std::string& pattern = options.pattern;
  if (pattern == "random" || tables::NamedLifePattern(pattern).ok()) {
    request.set_name(pattern);
    return request;
  }
  // A FIFO is not even opened: that would wait for whoever writes to it.
  std::error_code error;
  const auto kind = std::filesystem::status(pattern, error);
  if (std::filesystem::exists(kind) && !std::filesystem::is_regular_file(kind)) {
    return base::InvalidArgument("seeding: {} is no regular file", pattern);
  }
  std::ifstream file(pattern, std::ios::binary);
  if (!file) {
    return base::NotFound("seeding: {} is none of glider, gun and random, and no file that can be "
                          "read", pattern);
  }
  std::string text(kMostFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMostFileBytes) {
    return base::InvalidArgument("seeding: {} has more than {} bytes", pattern, kMostFileBytes);
  }
  const auto parsed = tables::ParseLifeRle(text);
  if (!parsed.ok()) return base::Annotate(parsed.status(), pattern);
  request.set_rle(text);
  return request;
}

absl::StatusOr<std::string> PlayLife(const Options& options, Client& client, Style style,
                                     bool live) {
  const LifeOptions& life = options.life;
  if (life.action == "seed") {
    ASSIGN_OR_RETURN(const v1::SeedBoardRequest request, SeedRequest(life));
    ASSIGN_OR_RETURN(const v1::LifeState state, client.SeedBoard(request, TimeoutOf(options)));
    return Document(state, options.format, style);
  }
  if (!life.action.empty()) {
    const v1::ControlBoardRequest request = ControlRequest(life);
    ASSIGN_OR_RETURN(const v1::LifeState state,
                     request.has_step() ? Step(request, client, options)
                                        : client.ControlBoard(request, TimeoutOf(options)));
    return Document(state, options.format, style);
  }
  if (live && !life.once && options.format == Format::kTable) {
    RETURN_IF_ERROR(DrawLive(options, client, style));
    return std::string();
  }
  ASSIGN_OR_RETURN(const v1::LifeBoard board, client.GetBoard(TimeoutOf(options)));
  return Document(board, options.format, style);
}

}  // namespace bonsai::cli
