// SPDX-License-Identifier: Apache-2.0
// A thousand changes of configuration over all features, under load: every packet is counted.
//
// What is sent is always allowed, by what the settings mean: the policies allow it expressly, both
// ways; and with policy on both families are on, because a family that is off cannot be judged and
// is refused then. A service's address means nothing while the balancer is off, so that traffic to
// one has a test of its own, in which the balancer stays.
#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "datapath/include/contract.h"
#include "tests/e2e/node_state.h"
#include "tests/support/cluster.h"
#include "tests/support/counted_streams.h"
#include "tests/support/tcp_crowd.h"

namespace bonsai::testing {
namespace {

constexpr char kAllowAll[] =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
    "metadata: {name: allow, namespace: demo}\nspec:\n  podSelector: {}\n"
    "  policyTypes: [Ingress, Egress]\n"
    "  ingress:\n  - from: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]\n"
    "  egress:\n  - to: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]\n";

constexpr uint32_t kSteadyRate = 60000;   // packets a second, besides those of TCP
constexpr double kRequiredRate = 50000;  // in all; less is a machine that is too busy for this test

// Packets that no program ever saw, on this machine: the second column of each CPU's line.
uint64_t BacklogDrops() {
  std::ifstream file("/proc/net/softnet_stat");
  uint64_t sum = 0;
  std::string line;
  while (std::getline(file, line)) sum += std::stoull(line.substr(line.find(' ')), nullptr, 16);
  return sum;
}

// The bool settings of the running agent, and flips of them that may stand together.
class Toggles {
 public:
  // `fixed`: settings that keep their value.
  Toggles(const nlohmann::json& config, const std::set<std::string>& fixed) {
    for (const auto& setting : config["settings"]) {
      if (setting["allowed"] != "true or false") continue;
      const std::string key = setting["key"];
      values_[key] = setting["value"] == "true";
      for (const auto& needed : setting.value("required_keys", nlohmann::json::array())) {
        needs_[key].insert(needed.get<std::string>());
      }
      if (!fixed.contains(key)) keys_.push_back(key);
    }
    // A policy holds for all packets of a pod or for none.
    for (const char* family : {"enable-ipv4", "enable-ipv6"}) needs_["enable-policy"].insert(family);
  }

  const std::vector<std::string>& keys() const { return keys_; }
  bool value(const std::string& key) const { return values_.at(key); }

  // Flips `key`; what it needs goes on with it, what needs it goes off.
  ConfigMap Flip(const std::string& key) {
    Set(key, !values_.at(key));
    ConfigMap config;
    for (const auto& [name, on] : values_) config[name] = on ? "true" : "false";
    return config;
  }

 private:
  void Set(const std::string& key, bool on) {
    if (std::exchange(values_[key], on) == on) return;
    if (on) {
      for (const std::string& needed : needs_[key]) Set(needed, true);
      return;
    }
    for (const auto& [other, needed] : needs_) {
      if (needed.contains(key)) Set(other, false);
    }
  }

  std::map<std::string, bool> values_;
  std::map<std::string, std::set<std::string>> needs_;
  std::vector<std::string> keys_;
};

// Of one conntrack map: which connections, opened by whom, translated to what.
struct Connections {
  uint32_t map = 0;
  std::map<std::string, std::string> entries;

  static Connections Of(const Cluster& cluster, const std::string& name) {
    Connections found;
    base::UniqueFd fd(bpf_obj_get((cluster.bpf_root() + "/maps/" + name).c_str()));
    bpf_map_info info = {};
    uint32_t length = sizeof(info);
    EXPECT_EQ(bpf_map_get_info_by_fd(fd.get(), &info, &length), 0) << name;
    found.map = info.id;
    std::string key(info.key_size, 0), next(info.key_size, 0);
    EXPECT_EQ(info.value_size, sizeof(ct_entry));
    for (bool first = true; bpf_map_get_next_key(fd.get(), first ? nullptr : key.data(), next.data()) == 0;
         first = false) {
      key = next;
      ct_entry entry;
      if (bpf_map_lookup_elem(fd.get(), key.data(), &entry) != 0) continue;
      const auto birth = static_cast<uint16_t>(
          entry.flags & (CT_OPENED_BY_POD | CT_NAT_FRONT | CT_NAT_BACK | CT_ESTABLISHED));
      if (!(birth & CT_ESTABLISHED)) continue;  // a stream without answers
      found.entries[key] = std::string(reinterpret_cast<const char*>(entry.nat_addr), 16) +
                           std::to_string(birth) + " " + std::to_string(entry.nat_port);
    }
    return found;
  }
  // Of those that were there earlier, how many are not, or are not the same.
  size_t LostOf(const Connections& earlier) const {
    if (map != earlier.map) return earlier.entries.size();
    return static_cast<size_t>(std::ranges::count_if(earlier.entries, [&](const auto& each) {
      const auto at = entries.find(each.first);
      return at == entries.end() || at->second != each.second;
    }));
  }
};

class ZeroLoss : public ::testing::Test {
 protected:
  void Start(const ConfigMap& more) {
    cluster.WriteManifest("policy.yaml", kAllowAll);
    ConfigMap config = {{"pod-devices", "veth-*"},     {"uplink-devices", "uplink"},
                        {"ct-entries", "4096"},        {"events-bytes", "65536"},
                        {"ipcache-entries", "1024"},   {"policy-entries", "1024"},
                        {"service-entries", "64"},     {"backend-entries", "64"},
                        {"prefilter-entries", "64"},   {"prefilter-cidrs", "203.0.113.0/24"}};
    for (const auto& [key, value] : more) config[key] = value;
    cluster.SetConfig(config);
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
  }

  // `count` changes, each in force before the next.
  void FlipOneByOne(Toggles& toggles, int count, const CountedStreams& streams) {
    std::mt19937 random(1);
    std::vector<std::string> keys = toggles.keys();
    uint64_t generation = static_cast<uint64_t>(*cluster.Metric("bonsai_configuration_generation"));
    uint64_t overtaken = 0;
    for (int i = 0; i < count; ++i) {
      if (i % keys.size() == 0) std::shuffle(keys.begin(), keys.end(), random);
      const std::string& key = keys[i % keys.size()];
      cluster.ChangeConfig(toggles.Flip(key));
      ASSERT_TRUE(cluster.WaitGeneration(++generation)) << key << ": " << cluster.AgentLog();
      if (const uint64_t now = streams.overtaken(); now > overtaken) {
        suspects += (suspects.empty() ? "" : ", ") + key + (toggles.value(key) ? " on" : " off") +
                    " " + std::to_string(now - overtaken);
        overtaken = now;
      }
    }
    EXPECT_EQ(cluster.Metric("bonsai_configuration_generation"), static_cast<double>(generation));
  }

  // `exchanges`: of TCP meanwhile, at least two packets each.
  void ExpectNothingLost(CountedStreams& streams, uint64_t exchanges) {
    uint64_t sent = 0, received = 0, socket_drops = 0;
    for (const CountedStreams::Counts& counts : streams.Stop()) {
      EXPECT_EQ(counts.lost(), 0u) << "of " << counts.sent;
      EXPECT_GT(counts.sent, 1000u);
      sent += counts.sent;
      received += counts.received;
      socket_drops += counts.socket_drops;
    }
    EXPECT_EQ(socket_drops, 0u) << "the receiver was too slow: nothing is said of the datapath";
    EXPECT_EQ(sent, received) << "after which packets were missing: " << suspects
                              << "\ndropped by overrun CPU backlogs meanwhile, whosoever's: "
                              << BacklogDrops() - backlog_drops;
    const double rate = static_cast<double>(sent + 2 * exchanges) / streams.seconds();
    std::printf("%lu packets sent, %lu received, %lu exchanges over TCP; %.0f packets a second\n",
                sent, received, exchanges, rate);
    EXPECT_GE(rate, kRequiredRate);
  }

  Cluster cluster;
  const uint64_t backlog_drops = BacklogDrops();
  std::string suspects;  // changes after which packets had been overtaken
};

TEST_F(ZeroLoss, ThroughAThousandTogglesOfAllFeatures) {
  Start({});
  Toggles toggles(cluster.Ctl("config"), {});
  ASSERT_GE(toggles.keys().size(), 10u);
  TcpCrowd crowd4(cluster.pod_a, cluster.pod_b, kPodB4, 9100, 50);
  TcpCrowd crowd6(cluster.client, cluster.pod_b, kPodB6, 9101, 50);
  CountedStreams streams({{&cluster.pod_a, &cluster.pod_b, kPodB4, 9001},
                          {&cluster.pod_a, &cluster.pod_b, kPodB6, 9002},
                          {&cluster.pod_b, &cluster.pod_a, kPodA4, 9003},
                          {&cluster.client, &cluster.pod_b, kPodB4, 9004},
                          {&cluster.client, &cluster.pod_b, kPodB6, 9005},
                          {&cluster.pod_a, &cluster.client, kClient4, 9006}},
                         kSteadyRate);
  FlipOneByOne(toggles, 1000, streams);
  if (HasFatalFailure()) return;
  EXPECT_EQ(crowd4.CountAlive() + crowd6.CountAlive(), 100u);
  EXPECT_EQ(crowd4.broken() + crowd6.broken(), 0u);
  ExpectNothingLost(streams, crowd4.exchanges() + crowd6.exchanges());
}

// With conntrack and the balancer on throughout: what they know of a flow outlives every change.
TEST_F(ZeroLoss, AndNoConnectionForgottenWhileConntrackStays) {
  cluster.WriteService({kPodB4}, {kPodB6});
  Start({{"enable-load-balancer", "true"}});
  ASSERT_TRUE(PollUntil([&] { return cluster.Metric("bonsai_services") >= 1; }));
  Toggles toggles(cluster.Ctl("config"),
                  {"enable-ipv4", "enable-ipv6", "enable-conntrack", "enable-load-balancer"});
  TcpCrowd crowd4(cluster.pod_a, cluster.pod_b, kService4, kServicePort, 50, kServerPort);
  TcpCrowd crowd6(cluster.client, cluster.pod_b, kPodB6, 9101, 50);
  CountedStreams streams({{&cluster.pod_a, &cluster.pod_b, kService4, kServicePort, kServerPort},
                          {&cluster.pod_c, &cluster.pod_b, kPodB6, 9002},
                          {&cluster.client, &cluster.pod_b, kPodB4, 9004}},
                         kSteadyRate);
  ASSERT_EQ(crowd4.CountAlive() + crowd6.CountAlive(), 100u);
  const Connections before4 = Connections::Of(cluster, "ct4"), before6 = Connections::Of(cluster, "ct6");
  EXPECT_GE(before4.entries.size(), 100u) << "two for each connection to a service";
  EXPECT_GE(before6.entries.size(), 50u);
  FlipOneByOne(toggles, 100, streams);
  if (HasFatalFailure()) return;
  EXPECT_EQ(Connections::Of(cluster, "ct4").LostOf(before4), 0u);
  EXPECT_EQ(Connections::Of(cluster, "ct6").LostOf(before6), 0u);
  EXPECT_EQ(crowd4.CountAlive() + crowd6.CountAlive(), 100u);
  EXPECT_EQ(crowd4.broken() + crowd6.broken(), 0u);
  ExpectNothingLost(streams, crowd4.exchanges() + crowd6.exchanges());
}

}  // namespace
}  // namespace bonsai::testing
