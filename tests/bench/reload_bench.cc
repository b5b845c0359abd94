// SPDX-License-Identifier: Apache-2.0
// How fast a change takes effect: the objects on their way into the kernel, and the shipped agent
// from the swap of the ConfigMap to the kernel running the new programs or holding the new entry.
//
//   reload_bench RESULTS.json        as root
#include <fmt/format.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/kernel/bpf_map.h"
#include "agent/kernel/links.h"
#include "tests/bench/load_ways.h"
#include "tests/support/cluster.h"

namespace bonsai::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr int kRuns = 7;
constexpr std::chrono::seconds kPatience{30};

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// ---- the objects alone ----

json MeasureWays() {
  auto loading = Loading::Make();
  if (!loading.ok()) throw std::runtime_error(loading.status().ToString());
  const std::pair<const char*, Way> ways[] = {
      {"pruned", Way::kPruned}, {"everything", Way::kEverything}, {"twice", Way::kTwice}};
  json rows = json::array();
  for (const Row& row : Rows()) {
    json result = {{"settings", row.name}};
    for (int run = 0; run < kRuns; ++run) {
      for (const auto& [name, way] : ways) {
        auto cost = loading->Measure(row.raw, way);
        if (!cost.ok()) throw std::runtime_error(cost.status().ToString());
        auto& best = result[name];
        if (best.is_null() || cost->cpu < best["cpu"]) {
          best = {{"cpu", cost->cpu}, {"wall", cost->wall}, {"analysis", cost->analysis},
                  {"maps", cost->maps}};
        }
      }
    }
    rows.push_back(result);
  }
  return rows;
}

// ---- the agent ----

class Agent {
 public:
  explicit Agent(const testing::ConfigMap& config) {
    cluster_.SetConfig(config);
    cluster_.StartAgent();
    if (!cluster_.WaitInSync()) throw std::runtime_error("the agent is not in sync");
    for (const char* device : {"veth-a", "veth-b", "veth-c"}) {
      for (const char* hook : {"from_pod", "to_pod"}) {
        auto link = kernel::BpfLink::OpenPinned(fmt::format(
            "{}/links/{}-{}", cluster_.bpf_root(), hook, cluster_.node.IfIndex(device)));
        if (!link.ok()) throw std::runtime_error(link.status().ToString());
        links_.push_back(*std::move(link));
      }
    }
  }

  // From the swap until every pod's device runs other programs.
  json Reload(const testing::ConfigMap& changes) {
    const std::vector<uint32_t> before = Programs();
    const Clock::time_point start = Swap(changes);
    Wait(start, [&] {
      const std::vector<uint32_t> now = Programs();
      return std::equal(now.begin(), now.end(), before.begin(), std::not_equal_to<>());
    });
    const double seconds = Since(start);
    if (!cluster_.WaitInSync()) throw std::runtime_error("the agent is not in sync");
    // The figures of that change come with the next snapshot.
    const json stages = cluster_.Ctl("status")["configuration"]["stage_seconds"];
    return {{"seconds", seconds}, {"load", stages.value("load", 0.0)}, {"stages", stages}};
  }

  // From the swap until the prefilter's table has the entry.
  json TableWrite(int number) {
    const std::string cidr = fmt::format("203.0.113.{}/32", number);
    auto map = kernel::BpfMap::OpenPinned(cluster_.bpf_root() + "/maps/prefilter4");
    if (!map.ok()) throw std::runtime_error(map.status().ToString());
    const uint8_t key[8] = {32, 0, 0, 0, 203, 0, 113, static_cast<uint8_t>(number)};
    const Clock::time_point start = Swap({{"prefilter-cidrs", cidr}});
    uint32_t found = 0;
    // A trie answers with the longest prefix: only this very one can match.
    Wait(start, [&] { return map->Lookup(key, &found).ok(); });
    const double seconds = Since(start);
    cluster_.WaitInSync();
    return {{"seconds", seconds}};
  }

 private:
  // The moment of the rename, not before: a kubelet has written the files by then.
  Clock::time_point Swap(const testing::ConfigMap& changes) {
    cluster_.on_swap = [this] { swapped_ = Clock::now(); };
    cluster_.ChangeConfig(changes);
    return swapped_;
  }
  std::vector<uint32_t> Programs() const {
    std::vector<uint32_t> programs;
    for (const kernel::BpfLink& link : links_) {
      auto info = link.Info();
      programs.push_back(info.ok() ? info->program_id : 0);
    }
    return programs;
  }
  template <typename Condition>
  static void Wait(Clock::time_point start, Condition condition) {
    while (!condition()) {
      if (Clock::now() - start > kPatience) throw std::runtime_error("nothing took effect");
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  testing::Cluster cluster_;
  std::vector<kernel::BpfLink> links_;
  Clock::time_point swapped_;
};

void KeepBest(json& best, const json& run) {
  if (best.is_null() || run["seconds"] < best["seconds"]) best = run;
}

json MeasureAgent() {
  const testing::ConfigMap base = {{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"}};
  const testing::ConfigMap on = {{"enable-prefilter", "true"}, {"enable-policy", "true"},
                                 {"enable-load-balancer", "true"}, {"enable-flow-events", "true"}};
  const testing::ConfigMap off = {{"enable-ipv6", "false"}, {"enable-conntrack", "false"},
                                  {"enable-datapath-metrics", "false"}};
  json results = json::object();
  auto merged = [&](const testing::ConfigMap& more) {
    testing::ConfigMap config = base;
    for (const auto& [key, value] : more) config[key] = value;
    return config;
  };
  const std::pair<const char*, testing::ConfigMap> rows[] = {
      {"minimal", merged(off)}, {"defaults", base}, {"everything on", merged(on)}};
  for (const auto& [name, config] : rows) {
    Agent agent(config);
    const bool minimal = std::string(name) == "minimal";
    for (int run = 0; run < kRuns; ++run) {
      // A constant of every program that is loaded.
      const std::string value = run % 2 == 0 ? "false" : "true";
      KeepBest(results[name], agent.Reload(
          minimal ? testing::ConfigMap{{"enable-datapath-metrics", run % 2 == 0 ? "true" : "false"}}
                  : testing::ConfigMap{{"enable-datapath-metrics", value}}));
    }
    if (std::string(name) != "everything on") continue;
    for (int run = 0; run < kRuns; ++run) KeepBest(results["table write"], agent.TableWrite(run + 1));
    for (int run = 0; run < kRuns; ++run) {
      KeepBest(results["table size"],
               agent.Reload({{"ct-entries", run % 2 == 0 ? "65536" : "131072"}}));
    }
  }
  return results;
}

int Main(const std::string& path) {
  json results = {{"ways", MeasureWays()}, {"agent", MeasureAgent()}};
  std::ofstream(path) << results.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace bonsai::bench

int main(int argc, char** argv) {
  if (argc != 2 || geteuid() != 0) {
    std::fprintf(stderr, "usage, as root: reload_bench RESULTS.json\n");
    return 2;
  }
  try {
    return bonsai::bench::Main(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reload_bench: %s\n", error.what());
    return 1;
  }
}
