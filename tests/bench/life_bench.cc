// SPDX-License-Identifier: Apache-2.0
// Cells a second of feature life in the kernel, beside the same C compiled for this machine, in turns
// on the same boards: life_bench [RESULTS.json]
#include <bpf/bpf.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/bench/life_native.h"
#include "tests/support/prog_run.h"

namespace bonsai::bench {
namespace {

// CPU time of this thread: unlike the callback it is interrupted. In nanoseconds.
double CpuNow() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

constexpr uint64_t kGenerations = 50;  // a turn
constexpr int kTurns = 15;
constexpr uint32_t kZero = 0;

struct Result {
  uint32_t width = 0, height = 0;
  double kernel_ns = 1e18, native_ns = 1e18, vector_ns = 1e18;  // the least mean of a turn
  double slice_ns = 0;                        // the longest
  bool equal = true;                          // both made the same populations
};

class Board {
 public:
  Board(uint32_t width, uint32_t height)
      : datapath_({.objects = {"life"},
                   .constants = {{"enable_game_of_life", 1}, {"kernel_has_loop", 1},
                                 {"life_width", width}, {"life_height", height},
                                 {"life_cpu_percent", 100}},
                   .map_entries = {{"life_even", height}, {"life_odd", height}}}),
        result_{.width = width, .height = height},
        here_(height),
        there_(height) {}
  ~Board() {
    if (ok()) Run("life_stop");
  }
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  bool ok() const { return datapath_.error().empty(); }
  const std::string& error() const { return datapath_.error(); }

  Result Measure() {
    Seed();
    for (int turn = 0; turn < kTurns; ++turn) {
      const uint64_t kernel = KernelTurn();
      const std::vector<life_row> begin = here_;
      const uint64_t vector = NativeTurn(life_vector_generation, result_.vector_ns);
      here_ = begin;
      const uint64_t native = NativeTurn(life_native_generation, result_.native_ns);
      result_.equal &= kernel == native && kernel == vector;
    }
    result_.slice_ns = static_cast<double>(State().longest_ns);
    return result_;
  }

 private:
  void Seed() {
    std::mt19937_64 random(1);
    const uint32_t words = (result_.width + 63) / 64;  // widths here are whole words
    for (uint32_t y = 0; y < result_.height; ++y) {
      life_row& row = here_[y];
      for (uint32_t w = 1; w <= words; ++w) row.words[w] = random() & random();
      row.words[0] = row.words[words];
      row.words[words + 1] = row.words[1];
      datapath_.Put("life_even", y, row);
    }
    Change([&](life_state& state) {
      state = {.seeds = 2, .width = result_.width, .height = result_.height};
    });
  }

  // On a busy machine the kernel now and then has no memory for a timer at hand, and waits for none.
  void Run(const char* program) {
    for (int attempt = 0; attempt < 100; ++attempt) {
      LIBBPF_OPTS(bpf_test_run_opts, options);
      bpf_prog_test_run_opts(datapath_.ProgramFd(program), &options);
      if (static_cast<int>(options.retval) != -ENOMEM) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  life_state State() { return *datapath_.Get<life_state>("life_state", kZero); }

  template <typename Changed>
  void Change(Changed change) {
    Run("life_stop");
    life_state state = State();
    change(state);
    datapath_.Put("life_state", kZero, state);
    Run("life_start");
  }

  // Population at its end.
  uint64_t KernelTurn() {
    const life_state before = State();
    const uint64_t goal = before.generation + kGenerations;
    Change([&](life_state& state) { state.run_until = goal; });
    while (State().generation < goal) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const life_state after = State();
    result_.kernel_ns = std::min(result_.kernel_ns,
                                 double(after.total_ns - before.total_ns) / kGenerations);
    return after.population;
  }

  uint64_t NativeTurn(decltype(life_native_generation)& generation, double& least) {
    uint64_t population = 0;
    const double begin = CpuNow();
    for (uint64_t g = 0; g < kGenerations; ++g) {
      population = generation(here_.data(), there_.data(), result_.width, result_.height);
      here_.swap(there_);
    }
    least = std::min(least, (CpuNow() - begin) / kGenerations);
    return population;
  }

  testing::Datapath datapath_;
  Result result_;
  std::vector<life_row> here_, there_;
};

int Main(int argc, char** argv) {
  if (geteuid() != 0) {
    std::fprintf(stderr, "life_bench: not root: BPF programs cannot be loaded\n");
    return 1;
  }
  nlohmann::json results = nlohmann::json::array();
  for (const auto& [width, height] : {std::pair{128u, 128u}, {1024u, 1024u}, {2048u, 2048u}}) {
    Board board(width, height);
    if (!board.ok()) {
      std::fprintf(stderr, "life_bench: %s\n", board.error().c_str());
      return 1;
    }
    const Result result = board.Measure();
    const double cells = double(width) * height;
    std::printf("%ux%u: kernel %.2f, native %.2f (%.2f times), for vectors %.2f (%.2f times) G cells/s, "
                "longest slice %.0f us%s\n",
                width, height, cells / result.kernel_ns, cells / result.native_ns,
                result.native_ns / result.kernel_ns, cells / result.vector_ns,
                result.vector_ns / result.kernel_ns, result.slice_ns / 1e3,
                result.equal ? "" : ", NOT EQUAL");
    if (!result.equal) return 1;
    results.push_back({{"width", width}, {"height", height}, {"kernel_ns", result.kernel_ns},
                       {"native_ns", result.native_ns}, {"vector_ns", result.vector_ns},
                       {"slice_ns", result.slice_ns}});
  }
  if (argc > 1) std::ofstream(argv[1]) << results.dump(2) << "\n";
  return 0;
}

}  // namespace
}  // namespace bonsai::bench

int main(int argc, char** argv) { return bonsai::bench::Main(argc, argv); }
