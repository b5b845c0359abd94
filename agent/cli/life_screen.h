// SPDX-License-Identifier: Apache-2.0
// A terminal in our hands: other screen, no cursor, keys without echo. Back as it was when this goes,
// for which no signal may end the process meanwhile.
#pragma once

#include <absl/status/statusor.h>
#include <signal.h>
#include <termios.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"
#include "agent/cli/table.h"

namespace bonsai::cli {

// Signals that end or resize are blocked in this thread, and in those that it starts, until it goes.
class SignalsHeld {
 public:
  SignalsHeld();
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_ = {};
};

class LifeScreen {
 public:
  // `held`: since before any other thread of the process was started; outlives the screen.
  static absl::StatusOr<std::unique_ptr<LifeScreen>> Open(const SignalsHeld& held);
  ~LifeScreen();
  LifeScreen(const LifeScreen&) = delete;
  LifeScreen& operator=(const LifeScreen&) = delete;

  struct Size {
    size_t columns = 80, lines = 24;
  };
  Size size() const;

  enum class Event { kNone, kNews, kResized, kQuit, kPause, kStep };
  // Waits for a key, a signal, or for `news` to be readable.
  Event Wait(int news, int timeout_millis);

  // `lines`, and below them `status`.
  void Show(const std::vector<std::string>& lines, const std::string& status, Style style);

 private:
  LifeScreen() = default;
  Event ReadKey();
  Event ReadSignal();

  base::UniqueFd signals_;
  termios before_ = {};
  bool changed_ = false;
};

}  // namespace bonsai::cli
