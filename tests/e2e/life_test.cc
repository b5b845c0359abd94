// SPDX-License-Identifier: Apache-2.0
// The Game of Life on a node: with the shipped agent, without it, and after it came back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "tests/e2e/node_state.h"
#include "tests/support/cluster.h"
#include "tests/support/life_reference.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using nlohmann::json;

struct Seen {
  uint64_t generation = 0, population = 0, total = 0, seeds = 0;
  bool paused = false;
  LifeReference board{0, 0};
};

uint64_t Number(const json& tree, const char* key) {
  return std::stoull(tree.value(key, "0"));  // 64-bit integers are strings
}

// "x = W, y = H, ...", then runs. Knows nothing but what the agent writes.
LifeReference FromRle(const std::string& text, uint32_t width, uint32_t height) {
  LifeReference board(width, height);
  uint32_t x = 0, y = 0, count = 0;
  for (size_t at = text.find('\n') + 1; at < text.size() && text[at] != '!'; ++at) {
    const char c = text[at];
    if (c >= '0' && c <= '9') {
      count = count * 10 + static_cast<uint32_t>(c - '0');
      continue;
    }
    if (c == '\n') continue;
    const uint32_t run = count == 0 ? 1 : count;
    count = 0;
    if (c == '$') {
      y += run;
      x = 0;
      continue;
    }
    for (uint32_t i = 0; i < run; ++i, ++x) board.Set(x, y, c == 'o');
  }
  return board;
}

class LifeNode : public ::testing::Test {
 protected:
  void Start(const ConfigMap& more = {}, const std::vector<std::string>& wrapper = {}) {
    ConfigMap config = {{"pod-devices", "veth-*"},       {"uplink-devices", "uplink"},
                        {"enable-conntrack", "false"},   {"enable-datapath-metrics", "false"},
                        {"enable-game-of-life", "true"}, {"life-width", "100"},
                        {"life-height", "75"},           {"life-interval-ms", "5"}};
    for (const auto& [key, value] : more) config[key] = value;
    cluster.SetConfig(config);
    cluster.StartAgent({}, wrapper);
    ASSERT_TRUE(cluster.WaitInSync());
    ASSERT_EQ(cluster.Ctl("status")["problems"].dump(), "[]");
  }

  std::optional<Seen> Look() {
    const json tree = cluster.Ctl("life");
    if (!tree.is_object()) return std::nullopt;
    return Seen{.generation = Number(tree, "generation"),
                .population = Number(tree, "population"),
                .total = Number(tree, "generations_total"),
                .seeds = Number(tree, "seeds"),
                .paused = tree.value("paused", false),
                .board = FromRle(tree.value("rle", ""), tree.value("width", 0u),
                                 tree.value("height", 0u))};
  }

  // The later board is the earlier one, played on; not a generation was left out.
  static void ExpectFollows(Seen earlier, const Seen& later) {
    ASSERT_GE(later.generation, earlier.generation);
    EXPECT_EQ(later.seeds, earlier.seeds);
    EXPECT_EQ(later.total - earlier.total, later.generation - earlier.generation);
    for (uint64_t g = earlier.generation; g < later.generation; ++g) earlier.board.Step();
    EXPECT_TRUE(later.board == earlier.board) << "generation " << later.generation;
    EXPECT_EQ(later.population, later.board.Population());
  }

  // Of the pinned state, without an agent.
  uint64_t PinnedGeneration() const {
    const json dump = json::parse(Shell("bpftool -j map dump pinned " + cluster.bpf_root() +
                                        "/maps/life_state").output, nullptr, false);
    if (!dump.is_array() || dump.empty()) return 0;
    return dump[0].value("/formatted/value/generation"_json_pointer, uint64_t{0});
  }

  // What of feature life is pinned or held.
  std::vector<std::pair<std::string, unsigned>> Ids() const {
    std::vector<std::pair<std::string, unsigned>> ids;
    const json maps = cluster.Ctl("maps"), programs = cluster.Ctl("programs");
    for (const auto& map : maps["maps"]) {
      if (map["feature"] == "life" && map["id"] != 0) ids.emplace_back("map", map["id"]);
    }
    for (const auto& program : programs["programs"]) {
      if (program["object"] == "life" && program["id"] != 0) ids.emplace_back("prog", program["id"]);
    }
    return ids;
  }
  static std::string StillThere(const std::vector<std::pair<std::string, unsigned>>& ids) {
    std::string there;
    for (const auto& [kind, id] : ids) {
      const std::string name = kind + " " + std::to_string(id);
      if (Shell("bpftool " + kind + " show id " + std::to_string(id)).exit_code == 0) {
        there += name + " ";
      }
    }
    return there;
  }

  std::string WriteFile(const std::string& name, const std::string& text) {
    const std::string path = cluster.directory() / name;
    std::ofstream(path) << text;
    return path;
  }

  Cluster cluster;
};

TEST_F(LifeNode, GoesOnWhileNoAgentRunsAndIsAdopted) {
  Start();
  const auto first = Look();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->board.width(), 100u);
  EXPECT_EQ(first->board.height(), 75u);
  EXPECT_GT(first->population, 0u);
  const auto second = Look();
  ASSERT_TRUE(second);
  ExpectFollows(*first, *second);
  cluster.StopAgent(SIGKILL);
  const uint64_t alone = PinnedGeneration();
  EXPECT_TRUE(PollUntil([&] { return PinnedGeneration() >= alone + 20; }));
  const uint64_t before = PinnedGeneration();
  cluster.StartAgent();
  ASSERT_TRUE(cluster.WaitInSync());
  const auto adopted = Look();
  ASSERT_TRUE(adopted);
  EXPECT_GE(adopted->generation, before);
  ExpectFollows(*first, *adopted);
  EXPECT_EQ(WEXITSTATUS(cluster.StopAgent(SIGTERM)), 0);
  const uint64_t stopped = PinnedGeneration();
  EXPECT_TRUE(PollUntil([&] { return PinnedGeneration() > stopped + 5; })) << "SIGTERM stopped it";
  cluster.StartAgent();
  ASSERT_TRUE(cluster.WaitInSync());
  const auto last = Look();
  ASSERT_TRUE(last);
  ExpectFollows(*first, *last);
  EXPECT_TRUE(PollUntil([&] { return Look()->generation > last->generation + 5; }));
}

TEST_F(LifeNode, FreesEverythingWhenTurnedOff) {
  Start();
  const auto ids = Ids();
  EXPECT_EQ(ids.size(), 7u);  // five maps, two programs
  EXPECT_EQ(cluster.Metric("bonsai_life_paused"), 0);
  EXPECT_GT(cluster.Ctl("status").value("/life/width"_json_pointer, 0), 0);
  EXPECT_THAT(cluster.RawCtl("status").output, HasSubstr("Life           generation "));
  cluster.ChangeConfig({{"enable-game-of-life", "false"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_TRUE(WaitFor([&] { return StillThere(ids).empty(); })) << StillThere(ids);
  const CommandResult off = cluster.RawCtl("life");
  EXPECT_EQ(off.exit_code, 1);
  EXPECT_THAT(off.output, HasSubstr("enable-game-of-life is false"));
  EXPECT_TRUE(cluster.Ctl("status")["life"].is_null());
  EXPECT_EQ(cluster.Metric("bonsai_life_population"), std::nullopt);
  cluster.ChangeConfig({{"enable-game-of-life", "true"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(Look()->seeds, 1u) << "another board begins";
}

TEST_F(LifeNode, IsGoneAfterUninstall) {
  Start();
  const auto ids = Ids();
  cluster.StopAgent(SIGKILL);
  EXPECT_NE(StillThere(ids), "");
  const auto uninstalled = cluster.node.Exec(BONSAI_BIN_DIR "/agentctl uninstall --socket " +
                                             cluster.socket() + " --bpf-root " + cluster.bpf_root());
  EXPECT_EQ(uninstalled.exit_code, 0) << uninstalled.output;
  EXPECT_TRUE(WaitFor([&] { return StillThere(ids).empty(); })) << StillThere(ids);
}

TEST_F(LifeNode, PausesStepsResumesAndChangesSpeed) {
  Start();
  const json paused = cluster.Ctl("life pause");
  EXPECT_TRUE(paused.value("paused", false));
  const auto held = Look();
  ASSERT_TRUE(held);
  EXPECT_EQ(held->generation, Number(paused, "generation"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(Look()->generation, held->generation);
  const json stepped = cluster.Ctl("life step 300");
  EXPECT_EQ(Number(stepped, "generation"), held->generation + 300) << "step returned too early";
  const auto after = Look();
  ExpectFollows(*held, *after);
  EXPECT_EQ(after->generation, held->generation + 300);
  EXPECT_TRUE(after->paused);
  EXPECT_EQ(Number(cluster.Ctl("life step"), "generation"), after->generation + 1);
  // It stays paused across a restart, too.
  cluster.StopAgent(SIGKILL);
  cluster.StartAgent();
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(Look()->generation, after->generation + 1);
  EXPECT_EQ(cluster.Ctl("life speed 1000").value("interval_seconds", 0.0), 1.0);
  EXPECT_FALSE(cluster.Ctl("life resume").value("paused", true));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LE(Look()->generation, after->generation + 3);
  // Somebody else's reload leaves the speed alone, another life-interval-ms does not.
  cluster.ChangeConfig({{"life-cpu-percent", "20"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(cluster.Ctl("life")["interval_seconds"], 1.0);
  cluster.ChangeConfig({{"life-interval-ms", "7"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(cluster.Ctl("life")["interval_seconds"], 0.007);
  EXPECT_EQ(cluster.RawCtl("life step 0").exit_code, 2);
  EXPECT_EQ(cluster.RawCtl("life speed -1").exit_code, 2);
}

TEST_F(LifeNode, ReloadKeepsTheBoardAndAnotherSizeBeginsAnew) {
  Start();
  const auto first = Look();
  const uint64_t generation = Generation(cluster);
  cluster.ChangeConfig({{"life-cpu-percent", "11"}, {"enable-prefilter", "true"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_GT(Generation(cluster), generation);
  const auto reloaded = Look();
  ASSERT_TRUE(reloaded);
  ExpectFollows(*first, *reloaded);
  for (const auto& [key, value] : ConfigMap{{"life-height", "40"}, {"life-width", "130"},
                                            {"life-height", "300"}}) {
    cluster.ChangeConfig({{key, value}});
    ASSERT_TRUE(cluster.WaitInSync());
    EXPECT_EQ(cluster.Ctl("status")["problems"].dump(), "[]");
    const auto resized = Look();
    ASSERT_TRUE(resized);
    EXPECT_EQ(std::to_string(key == "life-width" ? resized->board.width() : resized->board.height()),
              value);
    const auto later = Look();
    ExpectFollows(*resized, *later);
  }
}

TEST_F(LifeNode, SeedsByNameAndFromFiles) {
  Start({{"life-interval-ms", "3600000"}, {"life-seed", "glider"}});
  EXPECT_EQ(Look()->population, 5u);
  EXPECT_EQ(Number(cluster.Ctl("life seed gun"), "population"), 36u);
  const json random = cluster.Ctl("life seed random --number 5");
  EXPECT_EQ(random.value("generation", ""), "0");
  const auto first = Look(), again = (cluster.Ctl("life seed random --number 5"), Look());
  EXPECT_TRUE(first->board == again->board);
  const std::string acorn = WriteFile(
      "acorn.rle", "#N Acorn\n#C small\r\nx = 7, y = 3, rule = b3/s23\nbo5b$\n3bo3b$2o2b\n3o!tail");
  EXPECT_EQ(Number(cluster.Ctl("life pause"), "generation") + 1, 1u + Look()->generation);
  EXPECT_EQ(Number(cluster.Ctl("life seed " + acorn), "population"), 7u);
  LifeReference expected(100, 75);
  expected.Draw(46, 36, {".O.....", "...O...", "OO..OOO"});
  const auto seeded = Look();
  EXPECT_TRUE(seeded->board == expected);
  EXPECT_TRUE(seeded->paused) << "it was paused before";
  cluster.Ctl("life step 1000");
  const auto later = Look();
  ASSERT_EQ(later->generation, 1000u);
  ExpectFollows(*seeded, *later);
  // What -o json shows can be seeded again.
  const std::string shown = WriteFile("shown.rle", cluster.Ctl("life").value("rle", ""));
  EXPECT_EQ(cluster.RawCtl("life seed " + shown).exit_code, 0);
  EXPECT_TRUE(Look()->board == later->board);
}

TEST_F(LifeNode, RefusesPatternsThatCannotBe) {
  Start();
  const auto refused = [&](const std::string& pattern) {
    const CommandResult result = cluster.RawCtl("life seed " + pattern);
    EXPECT_EQ(result.exit_code, 2) << pattern;
    return result.output;
  };
  EXPECT_THAT(refused("/nonexistent.rle"), HasSubstr("no file that can be read"));
  EXPECT_THAT(refused(WriteFile("bad.rle", "x = 3, y = 3\nbo\nx!")),
              AllOf(HasSubstr("bad.rle"), HasSubstr("line 3, column 1")));
  EXPECT_THAT(refused(WriteFile("rule.rle", "x = 3, y = 3, rule = B36/S23\nbo!")),
              HasSubstr("B3/S23"));
  EXPECT_THAT(refused(WriteFile("big.rle", "x = 101, y = 3\nbo!")), HasSubstr("100 x 75"));
  EXPECT_EQ(Look()->seeds, 1u);
}

// The board is read whole even where it moves faster than it can be copied.
TEST_F(LifeNode, ShowsWholeGenerationsOfAFastBoard) {
  Start({{"life-interval-ms", "0"}, {"life-width", "64"}, {"life-height", "64"},
         {"life-cpu-percent", "50"}});
  auto last = Look();
  for (int i = 0; i < 15; ++i) {
    const auto seen = Look();
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->board.Population(), seen->population);
    EXPECT_GT(seen->generation, last->generation);
    last = seen;
  }
}

TEST_F(LifeNode, TakesNoMoreThanItsShareOfACpu) {
  Start({{"life-interval-ms", "0"}, {"life-width", "1024"}, {"life-height", "1024"},
         {"life-cpu-percent", "5"}});
  const auto sample = [&] {
    const json life = cluster.Ctl("status")["life"];
    return std::pair(std::chrono::steady_clock::now(), life.value("cpu_seconds_total", 0.0));
  };
  const auto [begin, spent] = sample();
  std::this_thread::sleep_for(std::chrono::seconds(6));
  const auto [end, total] = sample();
  // A snapshot is up to two seconds old, at either end.
  const double wall = std::chrono::duration<double>(end - begin).count();
  EXPECT_LE(total - spent, 0.05 * (wall + 2.2));
  EXPECT_GT(total, spent);
  EXPECT_GT(*cluster.Metric("bonsai_life_generations_total"), 100);
  EXPECT_LT(*cluster.Metric("bonsai_life_generation_seconds"), 1);
}

TEST_F(LifeNode, NeedsNoMoreThanTheCapabilitiesOfTheChart) {
  const std::vector<std::string> wrapper = {"setpriv", "--bounding-set",
                                            "-all,+bpf,+net_admin,+perfmon"};
  Start({}, wrapper);
  const auto first = Look();
  cluster.StopAgent(SIGKILL);
  cluster.StartAgent({}, wrapper);
  ASSERT_TRUE(cluster.WaitInSync());
  const auto adopted = Look();
  ASSERT_TRUE(first && adopted);
  ExpectFollows(*first, *adopted);
  EXPECT_EQ(cluster.RawCtl("life seed gun").exit_code, 0);
}

TEST_F(LifeNode, PlanExplainAndFeaturesKnowIt) {
  Start({{"enable-game-of-life", "false"}});
  const CommandResult plan = cluster.RawCtl("plan --set enable-game-of-life=true");
  EXPECT_EQ(plan.exit_code, 0);
  EXPECT_THAT(plan.output, AllOf(HasSubstr("life_even"), HasSubstr("life_start"),
                                 HasSubstr("reload")));
  EXPECT_THAT(cluster.RawCtl("explain map life_even").output, HasSubstr("enable-game-of-life"));
  EXPECT_THAT(cluster.RawCtl("explain program life_start").output, HasSubstr("it can do nothing"));
  EXPECT_THAT(cluster.RawCtl("explain setting life-height").output, HasSubstr("life_odd"));
  EXPECT_THAT(cluster.RawCtl("features").output, HasSubstr("life"));
}

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
    Read();
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
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  terminal.TakeOutput();
  terminal.Resize(30, 6);
  ASSERT_TRUE(terminal.WaitForText("generation"));
  const std::string frame = terminal.TakeOutput();
  size_t lines = 0;
  for (const char c : frame) lines += c == '\n';
  EXPECT_EQ(lines, 5u) << "six lines, the last one about the board";
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
