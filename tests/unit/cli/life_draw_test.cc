// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/life_draw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>

#include "agent/cli/life.h"
#include "agent/cli/life_screen.h"
#include "agent/report/life_service.h"
#include "agent/tables/life_pattern.h"
#include "tests/unit/report/sample.h"

namespace bonsai::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using tables::LifeGrid;

LifeGrid Draw(const std::vector<std::string>& rows) {
  LifeGrid grid(static_cast<uint32_t>(rows[0].size()), static_cast<uint32_t>(rows.size()));
  for (uint32_t y = 0; y < grid.height(); ++y) {
    for (uint32_t x = 0; x < grid.width(); ++x) {
      if (rows[y][x] == 'O') grid.Set(x, y);
    }
  }
  return grid;
}

v1::LifeBoard Board(const LifeGrid& grid, life_state state = {}) {
  state.width = grid.width();
  state.height = grid.height();
  state.population = grid.Population();
  return report::ToLifeBoard({.state = state, .grid = grid});
}

TEST(DrawLife, PutsTwoRowsInALine) {
  EXPECT_THAT(DrawLife(Draw({".O.O", "..OO"}), 80, 24), ElementsAre(" ▀▄█"));
  EXPECT_THAT(DrawLife(Draw({"O", "O", "O"}), 80, 24), ElementsAre("█", "▀")) << "an odd height";
}

TEST(DrawLife, CutsAroundTheMiddle) {
  const LifeGrid grid = Draw({"O....O", ".OOOO.", ".OOOO.", ".OOOO.", ".OOOO.", "O....O"});
  EXPECT_THAT(DrawLife(grid, 4, 2), ElementsAre("████", "████"));
  EXPECT_THAT(DrawLife(grid, 6, 2), ElementsAre(" ████ ", " ████ "));
  EXPECT_THAT(DrawLife(grid, 1, 1), ElementsAre("█"));
  EXPECT_THAT(DrawLife(grid, 0, 0), IsEmpty());
}

TEST(GridOf, TakesOnlyWhatTheMessageHolds) {
  const LifeGrid grid = tables::RandomLife(13, 9, 1);
  EXPECT_TRUE(GridOf(Board(grid)) == grid);
  v1::LifeBoard cut = Board(grid);
  cut.mutable_cells()->pop_back();
  EXPECT_EQ(GridOf(cut).width(), 0u);
  v1::LifeBoard huge = Board(grid);
  huge.mutable_state()->set_width(4'000'000'000);
  EXPECT_EQ(GridOf(huge).width(), 0u);
  EXPECT_THAT(Render(huge, {}), HasSubstr("generation"));
}

TEST(Render, DrawsABoardWithColoursOnlyWhereWanted) {
  const v1::LifeBoard board =
      Board(Draw({"..O.", "O..."}),
            {.generation = 1234, .run_until = LIFE_FOREVER, .interval_ns = 100'000'000});
  EXPECT_EQ(Render(board, {.colour = false}),
            "▄ ▀\ngeneration 1,234, 2 alive, 4 x 2, every 100 ms\n");
  EXPECT_THAT(Render(board, {.colour = true}), HasSubstr("\033["));
  EXPECT_THAT(DescribeLife(Board(Draw({"."}), {.generation = 2, .run_until = 2}).state()),
              HasSubstr("paused"));
  EXPECT_THAT(DescribeLife(Board(Draw({"."}), {.run_until = LIFE_FOREVER}).state()),
              HasSubstr("share of the CPU"));
}

TEST(DescribeLife, SaysShortIntervalsToo) {
  for (const auto& [nanos, text] : std::map<uint64_t, std::string>{
           {1, "every 0.000001 ms"}, {400'000, "every 0.4 ms"}, {12'700'000, "every 12.7 ms"},
           {100'000'000, "every 100 ms"}, {999'600'000, "every 1 s"}, {2'000'000'000, "every 2 s"}}) {
    EXPECT_THAT(DescribeLife(Board(Draw({"."}), {.run_until = LIFE_FOREVER,
                                                 .interval_ns = nanos}).state()),
                EndsWith(text));
  }
}

// A terminal's cursor waits on the last column behind a line that fills it.
TEST(LifeFrame, ErasesALineBeforeItIsWritten) {
  EXPECT_EQ(LifeFrame({"██", " ▄"}, "status", {.colour = false}),
            "\033[H\033[K██\r\n\033[K ▄\r\n\033[Jstatus");
}

TEST(SignalsHeld, HoldsWhatWouldLeaveTheTerminalRaw) {
  const auto held = [](int signal) {
    sigset_t now;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    return sigismember(&now, signal) == 1;
  };
  {
    const SignalsHeld signals;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) EXPECT_TRUE(held(signal)) << signal;
  }
  EXPECT_FALSE(held(SIGQUIT));
}

TEST(LifeJson, HasStateAndBoard) {
  const std::string text =
      LifeJson(Board(Draw({".O.", "..O", "OOO"}), {.generation = 7, .run_until = LIFE_FOREVER}));
  const auto tree = nlohmann::json::parse(text, nullptr, false);
  ASSERT_TRUE(tree.is_object()) << text;
  EXPECT_EQ(tree["generation"], "7");
  EXPECT_EQ(tree["population"], "5");
  EXPECT_EQ(tree["width"], 3);
  EXPECT_EQ(tree["height"], 3);
  EXPECT_EQ(tree["paused"], false);
  EXPECT_EQ(tree["rle"], "x = 3, y = 3, rule = B3/S23\nbo$2bo$3o!\n");
  EXPECT_THAT(LifeYaml(Board(Draw({"O"}))), HasSubstr("rle: "));
}

TEST(SeedRequest, NamesGoAsNamesAndFilesAsText) {
  EXPECT_EQ(SeedRequest({.pattern = "gun"})->name(), "gun");
  const auto random = SeedRequest({.pattern = "random", .number = 5});
  EXPECT_EQ(random->name(), "random");
  EXPECT_EQ(random->random_seed(), 5u);
  EXPECT_TRUE(absl::IsNotFound(SeedRequest({.pattern = "/nonexistent"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(SeedRequest({.pattern = "/proc/self/exe"}).status()));
}

TEST(SeedRequest, TakesNothingButRegularFiles) {
  const testing::TemporaryDirectory directory;
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {directory.path(), fifo, std::string("/dev/null")}) {
    const absl::Status refused = SeedRequest({.pattern = path}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << path;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(path + " is no regular file"));
  }
}

}  // namespace
}  // namespace bonsai::cli
