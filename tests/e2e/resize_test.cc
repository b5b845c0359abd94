// SPDX-License-Identifier: Apache-2.0
// Tables change their size while traffic runs that stands or falls with what they hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>

#include <atomic>
#include <list>
#include <thread>

#include "agent/kernel/bpf_map.h"
#include "datapath/include/contract.h"
#include "tests/e2e/node_state.h"
#include "tests/support/cluster.h"
#include "tests/support/syscall_gate.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Neither pod may be sent to, or send, but in answer to what a opens to b and c: without its entry
// no packet of a reply passes, and a connection to the service would come to another backend.
constexpr char kPolicies[] =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
    "metadata: {name: a, namespace: demo}\nspec:\n  podSelector: {matchLabels: {app: a}}\n"
    "  policyTypes: [Ingress, Egress]\n  egress:\n  - ports: [{port: 8080}, "
    "{protocol: UDP, port: 8080}]\n---\n"
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
    "metadata: {name: b, namespace: demo}\nspec:\n"
    "  podSelector: {matchExpressions: [{key: app, operator: In, values: [b, c]}]}\n"
    "  policyTypes: [Ingress, Egress]\n  ingress:\n"
    "  - from: [{podSelector: {matchLabels: {app: a}}}]\n";

// Opens a connection to the service, asks twice and closes, again and again; with pauses, so that the
// closed ones do not fill the table.
class ShortConnections {
 public:
  explicit ShortConnections(const Netns& from)
      : thread_([this, &from](std::stop_token stop) {
          while (!stop.stop_requested()) {
            auto connection = Connection::Open(from, Proto::kTcp, kService4, kServicePort);
            const auto first = connection ? connection->Ask(800) : std::nullopt;
            const auto second = connection ? connection->Ask(800) : std::nullopt;
            ++(first && second && *first == *second ? whole_ : broken_);
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
          }
        }) {}
  uint64_t whole() const { return whole_; }
  uint64_t broken() const { return broken_; }

 private:
  std::atomic<uint64_t> whole_{0}, broken_{0};
  std::jthread thread_;
};

class Resize : public ::testing::Test {
 protected:
  void Start(const ConfigMap& more = {}) {
    ConfigMap config = {{"pod-devices", "veth-*"},      {"uplink-devices", "uplink"},
                        {"ct-entries", "4096"},         {"enable-policy", "true"},
                        {"enable-load-balancer", "true"},
                        {"ct-tcp-close-timeout", "1"},  {"ct-gc-interval", "1"}};
    for (const auto& [key, value] : more) config[key] = value;
    cluster.WriteManifest("policies.yaml", kPolicies);
    cluster.WriteService({kPodB4, kPodC4}, {kPodB6, kPodC6});
    cluster.SetConfig(config);
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
    ASSERT_TRUE(WaitFor([&] {
      return Ask(cluster.pod_a, Proto::kTcp, kService4, kServicePort, 300).has_value();
    }));
    ASSERT_FALSE(Ask(cluster.client, Proto::kTcp, kPodB4, kServerPort, 300)) << "no policy in force";
  }
  void ChangeAndWait(const ConfigMap& changes) {
    cluster.ChangeConfig(changes);
    ASSERT_TRUE(cluster.WaitInSync()) << Problems() << cluster.AgentLog();
  }
  std::string Problems() {
    return cluster.Ctl("status").value("problems", nlohmann::json::array()).dump();
  }
  std::string Metrics() {
    return cluster.node.Exec("curl -s http://" + cluster.metrics_address() + "/metrics").output;
  }
  absl::StatusOr<kernel::BpfMap> Pinned(const std::string& map) {
    return kernel::BpfMap::OpenPinned(cluster.bpf_root() + "/maps/" + map);
  }
  uint32_t SizeOf(const std::string& map) {
    auto pinned = Pinned(map);
    return pinned.ok() ? pinned->info().max_entries : 0;
  }
  uint64_t Count(const std::string& map) {
    auto pinned = Pinned(map);
    return pinned.ok() ? pinned->CountEntries().value_or(0) : 0;
  }
  // Connections of pods that are not ours, alive for a long time.
  std::vector<ct_key4> FillConntrack(uint32_t count) {
    auto map = Pinned("ct4");
    EXPECT_TRUE(map.ok()) << map.status();
    std::vector<ct_key4> keys(count);
    std::vector<ct_entry> entries(count);
    for (uint32_t i = 0; i < count; ++i) {
      keys[i] = {.pod = i, .peer = 7, .pod_port = 1, .peer_port = 2, .protocol = 6};
      entries[i].expires = uint64_t{1} << 62;
      entries[i].flags = CT_OPENED_BY_POD | CT_SEEN_REPLY | CT_ESTABLISHED;
      entries[i].packets[0] = i;
    }
    EXPECT_TRUE(map->UpdateMany(keys.data(), entries.data(), count).ok());
    return keys;
  }

  Cluster cluster;
  EchoServer tcp_b{cluster.pod_b, Proto::kTcp, kServerPort, "b"};
  EchoServer udp_b{cluster.pod_b, Proto::kUdp, kServerPort, "b"};
  EchoServer tcp_c{cluster.pod_c, Proto::kTcp, kServerPort, "c"};
  EchoServer udp_c{cluster.pod_c, Proto::kUdp, kServerPort, "c"};
};

TEST_F(Resize, KeepsEveryConnectionAndEntryWhileTheTableGrowsAndShrinks) {
  Start({{"ct-entries", "16384"}});
  std::list<std::pair<Connection, std::string>> open;
  for (int i = 0; i < 20; ++i) {
    const Proto proto = i % 2 == 0 ? Proto::kTcp : Proto::kUdp;
    const char* to[] = {kService4, kService6, kPodB4, kPodB6};
    auto connection = Connection::Open(cluster.pod_a, proto, to[i % 4],
                                       i % 4 < 2 ? kServicePort : kServerPort);
    ASSERT_TRUE(connection) << i;
    const auto server = connection->Ask();
    ASSERT_TRUE(server) << i;
    open.emplace_back(*std::move(connection), *server);
  }
  const std::vector<ct_key4> keys = FillConntrack(1000);
  SteadyTraffic steady(cluster.pod_a, kPodB4, kServerPort);
  ShortConnections brief(cluster.pod_a);
  for (const char* size : {"32768", "8192", "65536", "16384", "16385", "8192", "131072"}) {
    SCOPED_TRACE(size);
    ChangeAndWait({{"ct-entries", size}});
    EXPECT_EQ(std::to_string(SizeOf("ct4")), size);
    EXPECT_EQ(std::to_string(SizeOf("ct6")), size);
    EXPECT_THAT(cluster.KernelMaps(), AllOf(Not(::testing::Contains("ct4_old")),
                                            Not(::testing::Contains("ct6_old"))));
    for (auto& [connection, server] : open) EXPECT_EQ(connection.Ask(), server);
    auto map = Pinned("ct4");
    ASSERT_TRUE(map.ok());
    for (uint32_t i = 0; i < keys.size(); ++i) {
      ct_entry entry = {};
      ASSERT_TRUE(map->Lookup(&keys[i], &entry).ok()) << "entry " << i << " is lost";
      ASSERT_EQ(entry.packets[0], i);
    }
  }
  EXPECT_GT(brief.whole(), 10u);
  EXPECT_EQ(brief.broken(), 0u) << "of " << brief.whole();
  EXPECT_EQ(steady.lost(), 0u);
  EXPECT_EQ(Problems(), "[]");
}

TEST_F(Resize, BelowWhatIsInUseIsRefusedWithTheNumbersUntilItFits) {
  Start({{"ct-gc-interval", "600"}});  // the last count is an old one
  auto connection = Connection::Open(cluster.pod_a, Proto::kTcp, kService4, kServicePort);
  ASSERT_TRUE(connection && connection->Ask());
  const std::vector<ct_key4> keys = FillConntrack(3000);
  const auto generation = cluster.Ctl("status")["configuration"]["generation"];
  const CommandResult plan = cluster.RawCtl("plan --set ct-entries=2048");
  EXPECT_EQ(plan.exit_code, 2) << plan.output;
  EXPECT_THAT(plan.output, HasSubstr("entries are in use"));
  EXPECT_EQ(cluster.RawCtl("plan --set ct-entries=3600").exit_code, 0);
  cluster.ChangeConfig({{"ct-entries", "2048"}});
  ASSERT_TRUE(cluster.WaitProblem("migrate")) << cluster.AgentLog();
  EXPECT_THAT(Problems(), AllOf(HasSubstr("ct-entries = 2048"), HasSubstr("map ct4"),
                                HasSubstr("entries are in use")));
  EXPECT_THAT(cluster.RawCtl("status").output, HasSubstr("entries are in use"));
  EXPECT_EQ(cluster.RawCtl("status").exit_code, 3) << "degraded";
  auto status = cluster.Ctl("status");
  EXPECT_EQ(status["configuration"]["generation"], generation);
  EXPECT_EQ(status["configuration"]["in_sync"], false);
  EXPECT_THAT(Metrics(), HasSubstr("bonsai_configuration_rejections_total{reason=\"migrate\"} 1"));
  EXPECT_EQ(SizeOf("ct4"), 4096u);
  EXPECT_GE(Count("ct4"), 3000u);
  EXPECT_TRUE(connection->Ask());
  // A pod that comes meanwhile is under the configuration in force.
  cluster.node.MustExec("ip link add veth-x type veth peer name x netns " + cluster.pod_c.name() +
                        " && ip link set veth-x up");
  EXPECT_TRUE(WaitFor([&] {
    return cluster.node.Exec("bpftool net show | grep -c veth-x").output == "2\n";
  }));
  cluster.node.MustExec("ip link del veth-x");
  // They go: the next attempt, at most some seconds away, finds room.
  auto map = Pinned("ct4");
  ASSERT_TRUE(map.ok() && map->DeleteMany(keys.data(), 2500).ok());
  EXPECT_TRUE(cluster.WaitProblem("migrate", false, 30));
  EXPECT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(SizeOf("ct4"), 2048u);
  EXPECT_GE(Count("ct4"), 500u);
  EXPECT_TRUE(connection->Ask());
}

TEST_F(Resize, OfTablesThatTheAgentFillsLosesNoPacket) {
  Start();
  SteadyTraffic steady(cluster.pod_a, kPodB4, kServerPort);
  ShortConnections brief(cluster.pod_a);
  const std::map<std::string, std::string> sized = {
      {"policy-entries", "policy"},   {"ipcache-entries", "ipcache4"},
      {"endpoint-entries", "endpoints"}, {"service-entries", "services4"},
      {"backend-entries", "backends4"}};
  for (const char* size : {"2000", "1000"}) {
    for (const auto& [setting, map] : sized) {
      SCOPED_TRACE(setting + " = " + size);
      const uint64_t before = Count(map);
      EXPECT_GT(before, 0u);
      ChangeAndWait({{setting, size}});
      EXPECT_EQ(std::to_string(SizeOf(map)), size);
      EXPECT_EQ(Count(map), before);
    }
  }
  EXPECT_GT(brief.whole(), 10u);
  EXPECT_EQ(brief.broken(), 0u) << "of " << brief.whole();
  EXPECT_EQ(steady.lost(), 0u);
}

TEST_F(Resize, GoesOnWhereAKilledAgentLeftIt) {
  Start();
  std::list<Connection> open;
  for (int i = 0; i < 10; ++i) {
    auto connection = Connection::Open(cluster.pod_a, Proto::kTcp, kService4, kServicePort);
    ASSERT_TRUE(connection && connection->Ask());
    open.push_back(*std::move(connection));
  }
  const std::vector<ct_key4> keys = FillConntrack(1000);
  for (int round = 0; round < 8; ++round) {
    SCOPED_TRACE(round);
    cluster.ChangeConfig({{"ct-entries", round % 2 == 0 ? "8192" : "4096"}});
    std::this_thread::sleep_for(std::chrono::milliseconds(60 * (round + 1)));
    cluster.StopAgent(SIGKILL);
    for (Connection& connection : open) EXPECT_TRUE(connection.Ask()) << "while no agent runs";
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync()) << cluster.AgentLog();
    for (Connection& connection : open) EXPECT_TRUE(connection.Ask());
    auto map = Pinned("ct4");
    ASSERT_TRUE(map.ok());
    for (const ct_key4& key : keys) {
      ct_entry entry = {};
      ASSERT_TRUE(map->Lookup(&key, &entry).ok());
    }
    EXPECT_THAT(cluster.KernelMaps(), Not(::testing::Contains("ct4_old")));
  }
}

// Between two renames of pins the earlier table was pinned nowhere that a restarted agent looks.
TEST_F(Resize, KeepsEveryEntryWhicheverPinItIsKilledBeforeMoving) {
  SyscallGate gate({SYS_rename, SYS_renameat, SYS_renameat2});
  cluster.in_child = [&] { return gate.InChild(); };
  Start();
  const std::vector<ct_key4> keys = FillConntrack(1000);
  int kills = 0;
  for (int k = 1; k < 100; ++k) {
    SCOPED_TRACE("killed before rename " + std::to_string(k));
    std::atomic<bool> killed = false;
    gate.SetJudge([&, renames = 0](const SyscallGate::Call&) mutable {
      if (++renames == k) killed = kill(cluster.agent_pid(), SIGKILL) == 0;
      return 0;
    });
    const uint64_t generation = Generation(cluster);
    cluster.ChangeConfig({{"ct-entries", k % 2 == 1 ? "8192" : "4096"}});
    // Both generations of a move have renamed when the table has its plain name again.
    ASSERT_TRUE(PollUntil([&] {
      return killed || (Generation(cluster) > generation && !Pinned("ct4_old").ok());
    }));
    gate.SetJudge({});
    if (!killed) break;  // there is no such rename any more
    ++kills;
    cluster.StopAgent(SIGKILL);
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync()) << cluster.AgentLog();
    auto map = Pinned("ct4");
    ASSERT_TRUE(map.ok());
    for (const ct_key4& key : keys) {
      ct_entry entry = {};
      ASSERT_TRUE(map->Lookup(&key, &entry).ok());
    }
  }
  EXPECT_GT(kills, 5);
  cluster.StopAgent(SIGTERM);  // while the gate serves it
}

}  // namespace
}  // namespace bonsai::testing
