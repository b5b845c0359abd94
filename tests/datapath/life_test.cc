// SPDX-License-Identifier: Apache-2.0
// Life as the kernel's timer runs it, against an implementation that shares nothing with it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <ostream>
#include <thread>

#include "tests/datapath/fixture.h"
#include "tests/support/life_reference.h"

namespace bonsai::testing {
namespace {

using std::chrono::steady_clock;

constexpr uint64_t kForever = LIFE_FOREVER;

class Life : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
  }

  void TearDown() override {
    if (datapath_ != nullptr && datapath_->error().empty()) Run("life_stop");
  }

  void Load(uint32_t width, uint32_t height, const Constants& more = {}) {
    Constants constants = {{"enable_game_of_life", 1}, {"life_width", width},
                           {"life_height", height},    {"life_cpu_percent", 100},
                           {"kernel_has_loop", 1}};
    for (const auto& [name, value] : more) constants[name] = value;
    datapath_ = std::make_unique<Datapath>(
        DatapathConfig{.objects = {"life"},
                       .constants = constants,
                       .map_entries = {{"life_even", height}, {"life_odd", height}}});
    ASSERT_EQ(datapath_->error(), "");
  }

  // On a busy machine the kernel now and then has no memory for a timer at hand, and waits for none.
  int Run(const char* program) {
    int result = -ENOMEM;
    for (int attempt = 0; attempt < 100 && result == -ENOMEM; ++attempt) {
      if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      LIBBPF_OPTS(bpf_test_run_opts, options);
      EXPECT_EQ(bpf_prog_test_run_opts(datapath_->ProgramFd(program), &options), 0) << program;
      result = static_cast<int>(options.retval);
    }
    return result;
  }

  life_state State() { return *datapath_->Get<life_state>("life_state", 0u); }

  void Change(const std::function<void(life_state&)>& change) {
    ASSERT_EQ(Run("life_stop"), 0);
    life_state state = State();
    change(state);
    datapath_->Put("life_state", 0u, state);
    ASSERT_EQ(Run("life_start"), 0);
  }

  void Seed(const LifeReference& board) {
    for (uint32_t y = 0; y < board.height(); ++y) {
      life_row row = {};
      const auto set = [&](uint32_t bit) { row.words[bit / 64] |= 1ull << bit % 64; };
      for (uint32_t x = 0; x < board.width(); ++x) {
        if (board.Get(x, y)) set(64 + x);
      }
      if (board.Get(board.width() - 1, y)) set(63);
      if (board.Get(0, y)) set(64 + board.width());
      datapath_->Put("life_even", y, row);
    }
    Change([&](life_state& state) {
      state = {.seeds = 2, .population = board.Population(), .width = board.width(),
               .height = board.height()};
    });
  }

  void WaitFor(uint64_t generation) {
    const auto deadline = steady_clock::now() + std::chrono::seconds(20);
    while (State().generation < generation && steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    ASSERT_EQ(State().generation, generation);
  }

  void RunUntil(uint64_t generation) {
    Change([&](life_state& state) { state.run_until = generation; });
    WaitFor(generation);
  }

  LifeReference Board() {
    const life_state state = State();
    LifeReference board(state.width, state.height);
    for (uint32_t y = 0; y < state.height; ++y) {
      const auto row =
          *datapath_->Get<life_row>(state.generation & 1 ? "life_odd" : "life_even", y);
      for (uint32_t x = 0; x < state.width; ++x) {
        board.Set(x, y, row.words[1 + x / 64] >> x % 64 & 1);
      }
    }
    return board;
  }

  // Each generation on the way is compared, `stride` generations apart.
  void ExpectSame(LifeReference board, uint64_t generations, uint64_t stride) {
    ASSERT_NO_FATAL_FAILURE(Load(board.width(), board.height()));
    ASSERT_NO_FATAL_FAILURE(Seed(board));
    for (uint64_t g = stride; g <= generations; g += stride) {
      for (uint64_t i = 0; i < stride; ++i) board.Step();
      ASSERT_NO_FATAL_FAILURE(RunUntil(g));
      ASSERT_TRUE(Board() == board) << board.width() << "x" << board.height() << " generation " << g;
      ASSERT_EQ(State().population, board.Population());
    }
    EXPECT_EQ(State().generations, generations);
  }

  Datapath& datapath() { return *datapath_; }

 private:
  std::unique_ptr<Datapath> datapath_;
};

struct Size {
  uint32_t width, height;
  uint64_t generations;
};
std::ostream& operator<<(std::ostream& out, const Size& size) {
  return out << size.width << "x" << size.height << " for " << size.generations;
}

class LifeOfSize : public Life, public ::testing::WithParamInterface<Size> {};

TEST_P(LifeOfSize, RandomBoardEqualsReferenceInEachGeneration) {
  const Size& size = GetParam();
  LifeReference board(size.width, size.height);
  board.Scatter(size.width * 4099 + size.height, 35);
  ExpectSame(board, size.generations, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Boards, LifeOfSize,
    ::testing::Values(Size{1, 1, 20}, Size{1, 7, 50}, Size{2, 2, 20}, Size{3, 3, 100},
                      Size{5, 1, 50}, Size{31, 8, 1000}, Size{63, 40, 1000}, Size{64, 40, 1000},
                      Size{65, 40, 1000}, Size{100, 75, 1000}, Size{127, 3, 1000},
                      Size{128, 128, 1000}, Size{129, 2, 300}, Size{1000, 333, 40},
                      Size{1024, 1024, 25}, Size{2047, 100, 20}, Size{2048, 2048, 4}),
    [](const auto& info) {
      return std::to_string(info.param.width) + "x" + std::to_string(info.param.height);
    });

TEST_F(Life, GliderComesBackWhereItBegan) {
  LifeReference board(64, 64);
  board.Draw(10, 10, {".O.", "..O", "OOO"});
  // A glider moves by one cell in four generations, so by the whole torus in 256.
  ASSERT_NO_FATAL_FAILURE(Load(64, 64));
  ASSERT_NO_FATAL_FAILURE(Seed(board));
  ASSERT_NO_FATAL_FAILURE(RunUntil(100));
  EXPECT_FALSE(Board() == board);
  EXPECT_EQ(State().population, 5u);
  ASSERT_NO_FATAL_FAILURE(RunUntil(256));
  EXPECT_TRUE(Board() == board);
}

TEST_F(Life, GliderEqualsReferenceAcrossEdges) {
  LifeReference board(70, 33);
  board.Draw(68, 31, {".O.", "..O", "OOO"});
  ExpectSame(board, 1000, 1);
}

TEST_F(Life, GunEqualsReference) {
  LifeReference board(200, 120);
  board.Draw(5, 5, {"........................O...........", "......................O.O...........",
                    "............OO......OO............OO", "...........O...O....OO............OO",
                    "OO........O.....O...OO..............", "OO........O...O.OO....O.O...........",
                    "..........O.....O.......O...........", "...........O...O....................",
                    "............OO......................"});
  ExpectSame(board, 1000, 1);
}

TEST_F(Life, MethuselahsEqualReference) {
  LifeReference pentomino(150, 150), acorn(193, 161);
  pentomino.Draw(74, 74, {".OO", "OO.", ".O."});
  acorn.Draw(90, 80, {".O.....", "...O...", "OO..OOO"});
  ExpectSame(pentomino, 1103, 1);
  ExpectSame(acorn, 1000, 1);
}

TEST_F(Life, WholeRunOfTheTimerEqualsReference) {
  LifeReference board(500, 400);
  board.Scatter(7, 30);
  ExpectSame(board, 1000, 500);
}

TEST_F(Life, EachGenerationIsTold) {
  LifeReference board(40, 30);
  board.Scatter(1, 40);
  ASSERT_NO_FATAL_FAILURE(Load(40, 30));
  std::vector<life_event> events;
  const auto collect = [](void* to, void* data, size_t size) {
    life_event event;
    EXPECT_EQ(size, sizeof(event));
    std::memcpy(&event, data, sizeof(event));
    static_cast<std::vector<life_event>*>(to)->push_back(event);
    return 0;
  };
  ring_buffer* ring =
      ring_buffer__new(datapath().MapFd("life_events"), collect, &events, nullptr);
  ASSERT_NE(ring, nullptr);
  ASSERT_NO_FATAL_FAILURE(Seed(board));
  ASSERT_NO_FATAL_FAILURE(RunUntil(200));
  EXPECT_EQ(ring_buffer__poll(ring, 1000), 200);  // the last one wakes whoever waits
  ring_buffer__free(ring);
  ASSERT_EQ(events.size(), 200u);
  for (uint64_t g = 1; g <= 200; ++g) {
    board.Step();
    EXPECT_EQ(events[g - 1].generation, g);
    EXPECT_EQ(events[g - 1].population, board.Population());
    EXPECT_EQ(events[g - 1].seeds, 2u);
    EXPECT_GT(events[g - 1].cpu_ns, 0u);
  }
  EXPECT_EQ(State().events_lost, 0u);
}

TEST_F(Life, LostEventsAreCountedWhenNobodyReads) {
  ASSERT_NO_FATAL_FAILURE(Load(8, 8));
  ASSERT_NO_FATAL_FAILURE(Seed(LifeReference(8, 8)));
  ASSERT_NO_FATAL_FAILURE(RunUntil(3000));  // 48 bytes each, and the ring holds 64 KiB
  EXPECT_EQ(State().events_lost, 3000u - 65536 / 48);
}

// The share is kept by waiting after each slice, whatever the interval says.
TEST_F(Life, ShareOfCpuIsKept) {
  LifeReference board(2048, 1024);  // two slices
  board.Scatter(3, 30);
  ASSERT_NO_FATAL_FAILURE(Load(2048, 1024, {{"life_cpu_percent", 5}}));
  ASSERT_NO_FATAL_FAILURE(Seed(board));
  const auto begin = steady_clock::now();
  Change([](life_state& state) { state.run_until = kForever; });
  std::this_thread::sleep_for(std::chrono::seconds(1));
  ASSERT_EQ(Run("life_stop"), 0);
  const double wall = std::chrono::duration<double>(steady_clock::now() - begin).count();
  const life_state state = State();
  EXPECT_GT(state.generations, 10u);
  // One slice may lie at the end without its pause.
  EXPECT_LE((state.total_ns - state.longest_ns) * 1e-9, 0.05 * wall);
  EXPECT_GE(state.slices, 2 * state.generations);
  EXPECT_LE(state.slices, 2 * state.generations + 1);
}

TEST_F(Life, ShareOfCpuIsKeptBySmallBoardsToo) {
  ASSERT_NO_FATAL_FAILURE(Load(8, 8, {{"life_cpu_percent", 10}}));
  ASSERT_NO_FATAL_FAILURE(Seed(LifeReference(8, 8)));
  const auto begin = steady_clock::now();
  Change([](life_state& state) { state.run_until = kForever; });
  std::this_thread::sleep_for(std::chrono::seconds(1));
  ASSERT_EQ(Run("life_stop"), 0);
  const double wall = std::chrono::duration<double>(steady_clock::now() - begin).count();
  // What a run takes besides computing, 10 us, is a tenth of the time between two.
  EXPECT_GT(State().generations, 100u);
  EXPECT_LE(State().generations, wall / 100e-6 + 2);
}

TEST_F(Life, StopsAndStartsGainNoGeneration) {
  ASSERT_NO_FATAL_FAILURE(Load(32, 32));
  ASSERT_NO_FATAL_FAILURE(Seed(LifeReference(32, 32)));
  Change([](life_state& state) {
    state.run_until = kForever;
    state.interval_ns = 3'600'000'000'000;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const uint64_t generation = State().generation;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(Run("life_stop"), 0);
    ASSERT_EQ(Run("life_start"), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(State().generation, generation);
}

TEST_F(Life, IntervalIsFromBeginningToBeginning) {
  ASSERT_NO_FATAL_FAILURE(Load(32, 32));
  ASSERT_NO_FATAL_FAILURE(Seed(LifeReference(32, 32)));
  Change([](life_state& state) {
    state.run_until = kForever;
    state.interval_ns = 20'000'000;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(410));
  const uint64_t generation = State().generation;
  EXPECT_GE(generation, 10u);
  EXPECT_LE(generation, 21u);
}

TEST_F(Life, StopHoldsTheBoardAndStartGoesOnWithoutSkipping) {
  LifeReference board(1024, 1024);
  board.Scatter(11, 30);
  ASSERT_NO_FATAL_FAILURE(Load(1024, 1024));
  ASSERT_NO_FATAL_FAILURE(Seed(board));
  Change([](life_state& state) { state.run_until = 60; });
  for (int stops = 0; stops < 20 && State().generation < 60; ++stops) {
    ASSERT_EQ(Run("life_stop"), 0);
    const life_state held = State();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(std::memcmp(&held, datapath().Get<life_state>("life_state", 0u).operator->(),
                          sizeof(held)), 0);
    ASSERT_EQ(Run("life_start"), 0);
    std::this_thread::sleep_for(std::chrono::microseconds(700));
  }
  ASSERT_NO_FATAL_FAILURE(WaitFor(60));
  for (int g = 0; g < 60; ++g) board.Step();
  EXPECT_TRUE(Board() == board);
}

TEST_F(Life, BoardOfAnotherSizeIsLeftAlone) {
  ASSERT_NO_FATAL_FAILURE(Load(32, 32));
  LifeReference board(32, 32);
  board.Scatter(5, 50);
  ASSERT_NO_FATAL_FAILURE(Seed(board));
  Change([](life_state& state) {
    state.width = 31;
    state.run_until = kForever;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(State().generation, 0u);
}

TEST_F(Life, NothingIsReachedWhenOffOrWithoutLoops) {
  for (const Constants& off : {Constants{{"enable_game_of_life", 0}}, {{"kernel_has_loop", 0}}}) {
    ASSERT_NO_FATAL_FAILURE(Load(64, 64, off));
    for (const auto& [name, live] : datapath().LivePrograms()) EXPECT_TRUE(live.maps.empty()) << name;
    EXPECT_EQ(Run("life_start"), 0);
    EXPECT_EQ(Run("life_stop"), 0);
  }
  ASSERT_NO_FATAL_FAILURE(Load(64, 64));
  const auto programs = datapath().LivePrograms();
  EXPECT_EQ(programs.at("life_start").maps,
            (std::set<std::string>{"life_even", "life_odd", "life_state", "life_timer",
                                   "life_events"}));
  EXPECT_EQ(programs.at("life_stop").maps, std::set<std::string>{"life_timer"});
}

}  // namespace
}  // namespace bonsai::testing
