// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/life_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "agent/base/status.h"
#include "agent/cli/life_draw.h"

namespace bonsai::cli {
namespace {

// Other screen, no cursor; and back.
constexpr std::string_view kEnter = "\033[?1049h\033[?25l\033[2J";
constexpr std::string_view kLeave = "\033[0m\033[?25h\033[?1049l";
constexpr char kCtrlC = 3, kCtrlD = 4;

// What cannot be written to a terminal that is gone is not missed.
void Write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, signal);
  return set;
}

}  // namespace

SignalsHeld::SignalsHeld() {
  const sigset_t watched = Watched();
  ::pthread_sigmask(SIG_BLOCK, &watched, &before_);
}

SignalsHeld::~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

absl::StatusOr<std::unique_ptr<LifeScreen>> LifeScreen::Open(const SignalsHeld&) {
  std::unique_ptr<LifeScreen> screen(new LifeScreen());
  if (::tcgetattr(STDIN_FILENO, &screen->before_) != 0) {
    return base::ErrnoStatus(errno, "asking the terminal how it is set");
  }
  const sigset_t watched = Watched();
  screen->signals_ = base::UniqueFd(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!screen->signals_.valid()) return base::ErrnoStatus(errno, "making a signalfd");
  termios raw = screen->before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  screen->changed_ = true;  // from here on there is something to put back
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) {
    return base::ErrnoStatus(errno, "setting up the terminal");
  }
  Write(kEnter);
  return screen;
}

LifeScreen::~LifeScreen() {
  if (!changed_) return;
  Write(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

LifeScreen::Size LifeScreen::size() const {
  winsize window = {};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 &&
                     window.ws_row > 0;
  if (!known) return {};
  return {.columns = window.ws_col, .lines = window.ws_row};
}

LifeScreen::Event LifeScreen::ReadKey() {
  char key = 0;
  if (::read(STDIN_FILENO, &key, 1) != 1) return Event::kQuit;  // the terminal is gone
  switch (key) {
    case 'q': case 'Q': case kCtrlC: case kCtrlD: return Event::kQuit;
    case 'p': case 'P': case ' ': return Event::kPause;
    case 's': case 'S': case 'n': return Event::kStep;
    default: return Event::kNone;
  }
}

LifeScreen::Event LifeScreen::ReadSignal() {
  signalfd_siginfo info;
  if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return Event::kNone;
  return info.ssi_signo == SIGWINCH ? Event::kResized : Event::kQuit;
}

LifeScreen::Event LifeScreen::Wait(int news, int timeout_millis) {
  pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                  {.fd = signals_.get(), .events = POLLIN},
                  {.fd = news, .events = POLLIN}};
  if (::poll(fds, 3, timeout_millis) <= 0) return Event::kNone;
  if (fds[1].revents != 0) return ReadSignal();
  if (fds[0].revents != 0) return ReadKey();
  return fds[2].revents != 0 ? Event::kNews : Event::kNone;
}

void LifeScreen::Show(const std::vector<std::string>& lines, const std::string& status,
                      Style style) {
  Write(LifeFrame(lines, status, style));
}

}  // namespace bonsai::cli
