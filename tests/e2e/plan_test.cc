// SPDX-License-Identifier: Apache-2.0
// What the agent says a change would bring, cost and save, against the change as the kernel has it.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "agent/base/unique_fd.h"
#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;
using nlohmann::json;
using Names = std::set<std::string>;

// 64-bit numbers are strings in documents.
int64_t Number(const json& value) {
  return value.is_string() ? std::stoll(value.get<std::string>()) : value.get<int64_t>();
}

json Bpftool(const std::string& arguments) {
  return json::parse(Shell("bpftool -j " + arguments).output, nullptr, false);
}

// Within 1 % of `measured`; a change by nothing has to be nothing.
void ExpectNear(int64_t told, int64_t measured, const std::string& what) {
  EXPECT_LE(std::abs(told - measured), std::abs(measured) / 100)
      << what << ": " << told << " told, " << measured << " measured";
}

class Plan : public ::testing::Test {
 protected:
  // The keys that a node of this test needs, and `more`.
  static ConfigMap Config(const ConfigMap& more) {
    ConfigMap config = {{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"},
                        {"ct-entries", "4096"}, {"ct-gc-interval", "1"}};
    for (const auto& [key, value] : more) config[key] = value;
    return config;
  }
  void Start(const ConfigMap& more = {}) {
    cluster.SetConfig(Config(more));
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
  }
  void Change(const ConfigMap& more) {
    cluster.SetConfig(Config(more));
    ASSERT_TRUE(cluster.WaitInSync());
  }
  json PlanOf(const ConfigMap& config) const {
    const std::string file = cluster.directory() / "wanted.yaml";
    std::ofstream out(file);
    for (const auto& [key, value] : config) out << key << ": \"" << value << "\"\n";
    out.close();
    return cluster.Ctl("plan --config " + file);
  }
  // What all maps take that the programs on the devices and the pins hold.
  int64_t MapBytes() const {
    int64_t sum = 0;
    for (unsigned id : cluster.KernelMapIds()) {
      sum += Bpftool("map show id " + std::to_string(id))["bytes_memlock"].get<int64_t>();
    }
    return sum;
  }
  // Machine code by program.
  std::map<std::string, int64_t> JitedBytes() const {
    std::map<std::string, int64_t> bytes;
    for (unsigned id : cluster.KernelProgramIds()) {
      const json program = Bpftool("prog show id " + std::to_string(id));
      bytes[program["name"]] = program["bytes_jited"].get<int64_t>();
    }
    return bytes;
  }
  // Samples of the exposition by name and labels.
  std::map<std::string, double> Metrics() const {
    std::istringstream lines(
        cluster.node.Exec("curl -s http://" + cluster.metrics_address() + "/metrics").output);
    std::map<std::string, double> samples;
    for (std::string line; std::getline(lines, line);) {
      const size_t space = line.rfind(' ');
      if (line.starts_with("bonsai_")) samples[line.substr(0, space)] = std::stod(line.substr(space));
    }
    return samples;
  }

  Cluster cluster;
};

Names Apply(Names names, const json& changes, const std::string& kind) {
  for (const json& change : changes) {
    const std::string name = change["name"];
    // The constants of an object are a map for the agent; bpftool has one name for all of them.
    if (name.find(".rodata") != std::string::npos || change["kind"] != kind) continue;
    kind == "CHANGE_KIND_ADDED" ? void(names.insert(name)) : void(names.erase(name));
  }
  return names;
}

TEST_F(Plan, IsWhatTheAgentThenDoes) {
  const std::vector<ConfigMap> rows = {
      {{"enable-policy", "true"}},
      {{"enable-policy", "true"}, {"enable-load-balancer", "true"}, {"backend-entries", "1000"},
       {"service-entries", "100"}},
      {{"enable-ipv6", "false"}, {"enable-flow-events", "true"}, {"ct-entries", "10000"}},
      {{"enable-prefilter", "true"}, {"enable-datapath-metrics", "false"}},
      {{"enable-conntrack", "false"}, {"enable-datapath-metrics", "false"}, {"enable-ipv6", "false"}},
      {}};
  Start();
  for (const ConfigMap& row : rows) {
    SCOPED_TRACE(::testing::PrintToString(row));
    const Names maps = cluster.KernelMaps(), programs = cluster.KernelPrograms();
    const int64_t before = MapBytes();
    const json generation = cluster.Ctl("status")["configuration"]["generation"];
    const json plan = PlanOf(Config(row));
    ASSERT_TRUE(plan.is_object());
    EXPECT_EQ(plan["accepted"], true) << plan["refusals"];
    EXPECT_EQ(plan["generation"], generation);
    ExpectNear(Number(plan["before"]["bytes"]), before, "bytes before");
    EXPECT_EQ(cluster.Ctl("status")["configuration"]["generation"], generation) << "only a plan";

    Change(row);
    ExpectNear(Number(plan["after"]["bytes"]), MapBytes(), "bytes after");
    EXPECT_EQ(Apply(Apply(maps, plan["maps"], "CHANGE_KIND_REMOVED"), plan["maps"], "CHANGE_KIND_ADDED"),
              cluster.KernelMaps());
    EXPECT_EQ(Apply(Apply(programs, plan["programs"], "CHANGE_KIND_REMOVED"), plan["programs"],
                    "CHANGE_KIND_ADDED"),
              cluster.KernelPrograms());
    const json datapath = cluster.Ctl("status")["datapath"];
    EXPECT_EQ(plan["after"]["live_instructions"], datapath["live_instructions"]);
    EXPECT_EQ(plan["after"]["programs"], datapath["entry_programs_loaded"]);
    EXPECT_EQ(plan["after"]["tail_calls"], datapath["tail_calls_loaded"]);
    EXPECT_EQ(PlanOf(Config(row))["settings"].size(), 0u) << "what is in force is no change";
  }
}

TEST_F(Plan, IsRefusedForWhatTheAgentRefuses) {
  Start();
  const auto refused = cluster.RawCtl("plan --set enable-polcy=true --set ct-tcp-timeout=5");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.output, HasSubstr("did you mean enable-policy?"));
  EXPECT_THAT(refused.output, HasSubstr("10..604800"));
  const json together =
      cluster.Ctl("plan --set enable-policy=true --set enable-conntrack=false");
  EXPECT_EQ(together["accepted"], false);
  EXPECT_THAT(together["refusals"].dump(), HasSubstr("enable-policy: needs enable-conntrack"));
  EXPECT_EQ(cluster.RawCtl("plan --set enable-policy=true").exit_code, 0);
  EXPECT_EQ(cluster.RawCtl("status").exit_code, 0) << "nothing was refused but plans";
}

// New flows of its own from pod a to pod b: one packet each.
void OpenFlows(const Cluster& cluster, int count) {
  const NetnsScope scope(cluster.pod_a);
  sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(kServerPort)};
  ASSERT_EQ(inet_pton(AF_INET, kPodB4, &to.sin_addr), 1);
  for (int i = 0; i < count; ++i) {
    const base::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(socket.valid());
    sockaddr_in from{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(20000 + i))};
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&from), sizeof(from)), 0);
    ASSERT_EQ(::sendto(socket.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 1);
  }
}

TEST_F(Plan, AdvisesToGrowATableThatIsNearlyFull) {
  EchoServer server(cluster.pod_b, Proto::kUdp, kServerPort, "b");
  Start();
  EXPECT_EQ(cluster.Ctl("status")["sizing"].size(), 0u);
  ASSERT_NO_FATAL_FAILURE(OpenFlows(cluster, 4000));
  json status;
  ASSERT_TRUE(WaitFor([&] {
    status = cluster.Ctl("status");
    return status.is_object() && status["sizing"].size() == 1;
  }, 20)) << status.dump(1);
  const json advice = status["sizing"][0];
  EXPECT_EQ(advice["setting"], "ct-entries");
  EXPECT_EQ(advice["map"], "ct4");
  EXPECT_EQ(advice["size"], "4096");
  EXPECT_EQ(advice["suggested"], "8192");
  const int64_t peak = Number(advice["peak_entries"]);
  EXPECT_GT(peak, 4096 * 8 / 10);
  EXPECT_LE(peak, 4096);
  EXPECT_THAT(cluster.RawCtl("status").output,
              HasSubstr("Sizing         ct-entries = 4096, ct4 peaked at "));
  EXPECT_GE(Metrics()["bonsai_map_entries_peak{map=\"ct4\"}"], static_cast<double>(peak));
  // The flows are in use now: the table cannot become smaller than they are.
  const json small = cluster.Ctl("plan --set ct-entries=1024");
  EXPECT_EQ(small["accepted"], false);
  EXPECT_THAT(small["refusals"].dump(), HasSubstr("REFUSAL_REASON_IN_USE"));
  // Following the advice costs what it says, and ends it.
  const int64_t before = MapBytes();
  Change({{"ct-entries", "8192"}});
  ExpectNear(Number(advice["bytes_change"]), MapBytes() - before, "cost of the advice");
  EXPECT_TRUE(WaitFor([&] { return cluster.Ctl("status")["sizing"].empty(); }));
}

struct Toggle {
  std::string name;
  ConfigMap off, on;
};

std::vector<Toggle> Toggles() {
  const ConfigMap bare = {{"enable-ipv6", "false"}, {"enable-conntrack", "false"},
                          {"enable-datapath-metrics", "false"}};
  const auto with = [](ConfigMap config, const std::string& key, const std::string& value) {
    config[key] = value;
    return config;
  };
  const ConfigMap conntrack = with(bare, "enable-conntrack", "true");
  return {{"conntrack", bare, conntrack},
          {"ipv6", conntrack, with(conntrack, "enable-ipv6", "true")},
          {"policy", conntrack, with(conntrack, "enable-policy", "true")},
          {"load-balancer", conntrack, with(conntrack, "enable-load-balancer", "true")},
          {"flow-events", bare, with(bare, "enable-flow-events", "true")},
          {"datapath-metrics", bare, with(bare, "enable-datapath-metrics", "true")},
          {"prefilter", bare, with(bare, "enable-prefilter", "true")}};
}

// What the metrics say was saved, beside what the kernel has.
struct Books {
  std::map<std::string, double> metrics;
  std::map<std::string, int64_t> feature_bytes;  // by bpftool
  std::map<std::string, int64_t> jited;          // by bpftool, a program
  int64_t map_bytes = 0;                         // by bpftool
};

class Saved : public Plan {
 protected:
  Books Read() {
    Books books{.metrics = Metrics(), .jited = JitedBytes(), .map_bytes = MapBytes()};
    const json maps = cluster.Ctl("maps");
    for (const json& map : maps["maps"]) {
      if (map["id"] == 0) continue;
      const json shown = Bpftool("map show id " + map["id"].dump());
      books.feature_bytes[map["feature"]] += shown["bytes_memlock"].get<int64_t>();
    }
    return books;
  }
  // The change from `a` to `b` of each number that says what was saved.
  static void ExpectBalanced(const Books& a, const Books& b) {
    const auto change = [&](const std::string& metric) {
      return std::llround(b.metrics.at(metric) - a.metrics.at(metric));
    };
    ExpectNear(change("bonsai_memory_pruned_maps_bytes"), a.map_bytes - b.map_bytes, "all maps");
    EXPECT_EQ(change("bonsai_memory_pruned_bytes"), change("bonsai_memory_pruned_maps_bytes") +
                                                        change("bonsai_memory_pruned_programs_bytes"));
    for (const auto& [sample, value] : a.metrics) {
      const std::string prefix = "bonsai_memory_saved_bytes{feature=\"";
      if (!sample.starts_with(prefix)) continue;
      const std::string feature = sample.substr(prefix.size(), sample.size() - prefix.size() - 2);
      const auto bytes = [&](const Books& books) {
        const auto found = books.feature_bytes.find(feature);
        return found != books.feature_bytes.end() ? found->second : 0;
      };
      ExpectNear(change(sample), bytes(a) - bytes(b), feature);
    }
  }
  // Machine code of what went, as it was measured while it was there.
  static void ExpectCodeSaved(const Books& on, const Books& off) {
    int64_t gone = 0;
    for (const auto& [name, bytes] : on.jited) gone += off.jited.contains(name) ? 0 : bytes;
    for (const auto& [name, bytes] : off.jited) gone -= on.jited.contains(name) ? 0 : bytes;
    const std::string metric = "bonsai_memory_pruned_programs_bytes";
    ExpectNear(std::llround(off.metrics.at(metric) - on.metrics.at(metric)), gone, "machine code");
  }
};

TEST_F(Saved, ChangesByWhatTheKernelGivesAndTakesForEachFeature) {
  Start();
  for (const Toggle& toggle : Toggles()) {
    SCOPED_TRACE(toggle.name);
    ASSERT_NO_FATAL_FAILURE(Change(toggle.off));
    const json features = cluster.Ctl("features");
    const Books off = Read();
    ASSERT_NO_FATAL_FAILURE(Change(toggle.on));
    const Books on = Read();
    ExpectBalanced(off, on);
    ASSERT_NO_FATAL_FAILURE(Change(toggle.off));
    const Books again = Read();
    ExpectBalanced(on, again);
    ExpectCodeSaved(on, again);
    // What the feature was said to cost is what it cost.
    for (const json& feature : features["features"]) {
      if (feature["name"] != toggle.name) continue;
      EXPECT_EQ(feature["on"], false);
      ExpectNear(Number(feature["cost"]["bytes"]), on.map_bytes - off.map_bytes, "cost");
      EXPECT_EQ(Number(feature["cost"]["programs"]),
                static_cast<int64_t>(on.jited.size()) - static_cast<int64_t>(off.jited.size()));
    }
  }
}

}  // namespace
}  // namespace bonsai::testing
