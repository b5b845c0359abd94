// SPDX-License-Identifier: Apache-2.0
// The Game of Life on a node: with the shipped agent, without it, and after it came back.
#include <signal.h>
#include <sys/wait.h>

#include <thread>

#include "tests/e2e/life_node.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

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
  const std::vector<std::pair<std::string, std::string>> sizes = {
      {"life-height", "40"}, {"life-width", "130"}, {"life-height", "300"}};
  for (const auto& [key, value] : sizes) {
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

}  // namespace
}  // namespace bonsai::testing
