// SPDX-License-Identifier: Apache-2.0
// Reading, analysing, both, and the kernel's load, of our objects and of generated ones.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <list>

#include "agent/reachability/liveness.h"
#include "tests/bench/measure.h"

namespace bonsai::bench {
namespace {

using ::benchmark::Counter;
using ::benchmark::State;

void SetCounters(State& state, const Subject& subject) {
  state.counters["slots"] = static_cast<double>(subject.slots);
  // Seconds a slot, scaled by the reader.
  state.counters["a_slot"] =
      Counter(static_cast<double>(subject.slots),
              Counter::kIsIterationInvariantRate | Counter::kInvert);
}

void ReadObject(State& state, const Subject& subject) {
  for (auto _ : state) {
    auto seconds = ReadSeconds(subject);
    if (!seconds.ok()) state.SkipWithError("it cannot be read");
    state.SetIterationTime(seconds.value_or(0));
  }
  SetCounters(state, subject);
}

void Analyse(State& state, const Subject& subject, Switches switches) {
  const constants::ConstantSet constants = ConstantsFor(subject.object, switches);
  for (auto _ : state) {
    auto liveness = reachability::Analyze(subject.object, constants);
    if (!liveness.ok()) state.SkipWithError("the analysis failed");
    benchmark::DoNotOptimize(liveness);
  }
  SetCounters(state, subject);
}

void Verdict(State& state, const Subject& subject, Switches switches, size_t peak) {
  double cpu = 0;
  for (auto _ : state) {
    auto seconds = VerdictSeconds(subject, switches);
    if (!seconds.ok()) state.SkipWithError("the analysis failed");
    state.SetIterationTime(seconds.value_or(Seconds{}).wall);
    cpu += seconds.value_or(Seconds{}).cpu;
  }
  SetCounters(state, subject);
  state.counters["cpu_a_slot"] =
      Counter(cpu / static_cast<double>(subject.slots), Counter::kAvgIterations);
  state.counters["peak_bytes"] = static_cast<double>(peak);
}

void KernelLoad(State& state, const Subject& subject, Switches switches) {
  for (auto _ : state) {
    auto seconds = KernelLoadSeconds(subject, switches);
    if (!seconds.ok()) state.SkipWithError(seconds.status().ToString().c_str());
    state.SetIterationTime(seconds.value_or(0));
  }
  SetCounters(state, subject);
}

struct Named {
  const char* name;
  Switches switches;
};
constexpr Named kSwitches[] = {{"default", Switches::kDefault}, {"on", Switches::kOn},
                               {"off", Switches::kOff}};

// False: the object cannot be read or analysed.
bool RegisterOne(const std::string& name, const Subject& subject, bool loadable) {
  const std::string after = "/" + name + "/";
  benchmark::RegisterBenchmark(("Read" + after).c_str(), ReadObject, std::cref(subject))
      ->Unit(benchmark::kMillisecond)->UseManualTime();
  for (const auto& [setting, switches] : kSwitches) {
    const auto peak = VerdictPeakBytes(subject, switches);
    if (!peak.ok()) return false;
    benchmark::RegisterBenchmark(("Analyse" + after + setting).c_str(), Analyse, std::cref(subject),
                                 switches)
        ->Unit(benchmark::kMillisecond)->UseRealTime();
    benchmark::RegisterBenchmark(("Verdict" + after + setting).c_str(), Verdict, std::cref(subject), switches,
                                 *peak)
        ->Unit(benchmark::kMillisecond)->UseManualTime();
    if (loadable && geteuid() == 0) {
      benchmark::RegisterBenchmark(("Kernel" + after + setting).c_str(), KernelLoad, std::cref(subject),
                                   switches)
          ->Unit(benchmark::kMillisecond)->UseManualTime();
    }
  }
  return true;
}

// The subjects live as long as the benchmarks that refer to them.
bool RegisterAll(std::list<Subject>& subjects) {
  const std::string ours = BONSAI_BPF_DIR, generated = BENCH_DIR;
  std::vector<std::pair<std::string, std::string>> objects;
  for (const char* name : {"xdp", "from_pod", "to_pod", "from_netdev"}) objects.emplace_back(ours, name);
  for (const char* name : {"big25k", "big60k", "big60k-300maps"}) objects.emplace_back(generated, name);
  const size_t loadable = objects.size();
  for (const char* shape : {"wide", "long"}) {
    for (const char* slots : {"60000", "125000", "250000", "500000", "1000000"}) {
      objects.emplace_back(generated, std::string(shape) + "-" + slots);
    }
  }
  for (size_t i = 0; i < objects.size(); ++i) {
    const auto& [directory, name] = objects[i];
    auto subject = ReadSubject(directory + "/" + name + ".bpf.o");
    if (!subject.ok()) return false;
    subjects.push_back(*std::move(subject));
    if (!RegisterOne(name, subjects.back(), i < loadable)) return false;
  }
  return true;
}

}  // namespace
}  // namespace bonsai::bench

int main(int argc, char** argv) {
  std::list<bonsai::bench::Subject> subjects;
  if (!bonsai::bench::RegisterAll(subjects)) {
    std::fputs("object_bench: an object cannot be read or analysed\n", stderr);
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
