// SPDX-License-Identifier: Apache-2.0
// agentctl life on a terminal, and where there is none.
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "tests/e2e/life_node.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A terminal with agentctl life in it.
class Terminal {
 public:
  Terminal(const std::string& socket, unsigned short columns, unsigned short lines) {
    winsize size = {.ws_row = lines, .ws_col = columns};
    child_ = forkpty(&master_, nullptr, nullptr, &size);
    if (child_ == 0) {
      setenv("TERM", "xterm", 1);
      execl(BONSAI_BIN_DIR "/agentctl", "agentctl", "--socket", socket.c_str(), "life", nullptr);
      _exit(127);
    }
    tcgetattr(master_, &before_);
  }
  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool WaitForText(const std::string& text) {
    return WaitFor([&] {
      Read();
      return output_.find(text) != std::string::npos;
    });
  }
  std::string TakeOutput() {
    Read();
    return std::exchange(output_, "");
  }
  // Lines of the last frame that came whole, the one about the board among them.
  size_t LinesOfLastFrame() {
    Read();
    const size_t end = output_.rfind("\033[J");
    const size_t begin = end == std::string::npos ? end : output_.rfind("\033[H", end);
    if (begin == std::string::npos) return 0;
    return 1 + static_cast<size_t>(std::count(output_.begin() + begin, output_.begin() + end, '\n'));
  }
  void Type(const std::string& keys) {
    ASSERT_EQ(write(master_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  void Resize(unsigned short columns, unsigned short lines) {
    winsize size = {.ws_row = lines, .ws_col = columns};
    ioctl(master_, TIOCSWINSZ, &size);
  }
  void Signal(int number) { kill(child_, number); }
  // Its exit code, once it ended.
  int Wait() {
    int status = 0;
    const bool ended = WaitFor([&] {
      Read();
      return waitpid(child_, &status, WNOHANG) == child_;
    });
    EXPECT_TRUE(ended);
    if (!ended) return -1;
    child_ = -1;
    // What it wrote last may still be on its way; then the terminal has no other end any more.
    char buffer[4096];
    for (ssize_t got; (got = read(master_, buffer, sizeof(buffer))) > 0;) {
      output_.append(buffer, static_cast<size_t>(got));
    }
    return WEXITSTATUS(status);
  }
  bool IsAsBefore() {
    termios now = {};
    tcgetattr(master_, &now);
    return now.c_lflag == before_.c_lflag;
  }

 private:
  void Read() {
    char buffer[65536];
    int waiting = 0;
    while (ioctl(master_, FIONREAD, &waiting) == 0 && waiting > 0) {
      const ssize_t got = read(master_, buffer, sizeof(buffer));
      if (got <= 0) return;
      output_.append(buffer, static_cast<size_t>(got));
    }
  }

  int master_ = -1;
  pid_t child_ = -1;
  termios before_ = {};
  std::string output_;
};

constexpr char kEnter[] = "\033[?1049h", kLeave[] = "\033[?25h\033[?1049l";

TEST_F(LifeNode, DrawsLiveAndLeavesTheTerminalAsItWas) {
  Start({{"life-interval-ms", "20"}});
  struct Way {
    const char* keys;
    int signal;
  };
  for (const Way& way : {Way{"q", 0}, Way{"\003", 0}, Way{"", SIGTERM}}) {
    Terminal terminal(cluster.socket(), 60, 20);
    ASSERT_TRUE(terminal.WaitForText("▄"));
    EXPECT_TRUE(terminal.WaitForText("generation"));
    EXPECT_TRUE(terminal.WaitForText(kEnter));
    EXPECT_FALSE(terminal.IsAsBefore());
    if (way.signal != 0) terminal.Signal(way.signal);
    terminal.Type(way.keys);
    EXPECT_EQ(terminal.Wait(), 0);
    EXPECT_THAT(terminal.TakeOutput(), HasSubstr(kLeave));
    EXPECT_TRUE(terminal.IsAsBefore());
  }
}

TEST_F(LifeNode, LiveDrawingFollowsTheTerminalAndItsKeys) {
  Start({{"life-interval-ms", "20"}});
  Terminal terminal(cluster.socket(), 60, 20);
  ASSERT_TRUE(terminal.WaitForText("generation"));
  terminal.Type("p");
  EXPECT_TRUE(terminal.WaitForText("paused"));
  EXPECT_TRUE(WaitFor([&] { return Look()->paused; }));
  const uint64_t generation = Look()->generation;
  terminal.Type("s");
  EXPECT_TRUE(WaitFor([&] { return Look()->generation == generation + 1; }));
  EXPECT_TRUE(WaitFor([&] { return terminal.LinesOfLastFrame() == 20; }));
  terminal.Resize(30, 6);
  EXPECT_TRUE(WaitFor([&] { return terminal.LinesOfLastFrame() == 6; }));
  terminal.Type("p");
  EXPECT_TRUE(WaitFor([&] { return !Look()->paused; }));
  terminal.Type("q");
  EXPECT_EQ(terminal.Wait(), 0);
}

TEST_F(LifeNode, LiveDrawingEndsWithTheAgent) {
  Start({{"life-interval-ms", "20"}});
  Terminal terminal(cluster.socket(), 60, 20);
  ASSERT_TRUE(terminal.WaitForText("generation"));
  cluster.StopAgent(SIGTERM);
  EXPECT_EQ(terminal.Wait(), 1);
  EXPECT_THAT(terminal.TakeOutput(), AllOf(HasSubstr(kLeave), HasSubstr("agentctl: ")));
  EXPECT_TRUE(terminal.IsAsBefore());
}

TEST_F(LifeNode, PrintsOnceWhereThereIsNoTerminal) {
  Start({{"life-seed", "glider"}, {"life-interval-ms", "3600000"}, {"life-width", "8"},
         {"life-height", "6"}});
  cluster.Ctl("life pause");
  cluster.Ctl("life seed glider");
  for (const char* form : {"life", "life --once"}) {
    EXPECT_EQ(cluster.RawCtl(form).output,
              "   ▄\n  ▄▄█\n\ngeneration 0, 5 alive, 8 x 6, paused\n") << form;
  }
  EXPECT_THAT(cluster.RawCtl("life -o yaml").output, AllOf(HasSubstr("rle:"), Not(HasSubstr("\033"))));
  EXPECT_EQ(cluster.RawCtl("life --watch").exit_code, 2);
}

}  // namespace
}  // namespace bonsai::testing
