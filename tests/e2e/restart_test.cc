// SPDX-License-Identifier: Apache-2.0
// Agents come and go, most of them by SIGKILL in the middle of something; the datapath serves on.
// Under traffic that is counted: what policy allows all arrives, what it denies never does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>

#include "tests/e2e/foreign_programs.h"
#include "tests/e2e/node_state.h"
#include "tests/support/cluster.h"
#include "tests/support/counted_streams.h"
#include "tests/support/syscall_gate.h"
#include "tests/support/tcp_crowd.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

// Pod b hears from pod a and from the outside, not from pod c.
constexpr char kPolicy[] =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: b, namespace: demo}\n"
    "spec:\n  podSelector: {matchLabels: {app: b}}\n  policyTypes: [Ingress]\n  ingress:\n"
    "  - from: [{podSelector: {matchLabels: {app: a}}}, {ipBlock: {cidr: 192.0.2.0/24}}]\n";

// Policy is always on, so that a device without our program would let through what is denied.
ConfigMap Small() {
  ConfigMap config = SmallConfig();
  config["enable-policy"] = "true";
  return config;
}

class Restart : public ::testing::Test {
 protected:
  void Begin(const std::vector<std::string>& flags = {}) {
    cluster.WriteManifest("policy.yaml", kPolicy);
    cluster.SetConfig(Small());
    cluster.StartAgent(flags);
    ASSERT_TRUE(cluster.WaitInSync());
    ASSERT_TRUE(PollUntil([&] { return cluster.Metric("bonsai_policies") == 1; }));
    crowd.emplace(cluster.pod_a, cluster.pod_b, kPodB4, 9100, 20);
    using Flows = std::vector<CountedStreams::Flow>;
    allowed.emplace(Flows{{&cluster.pod_a, &cluster.pod_b, kPodB4, 9001},
                          {&cluster.pod_a, &cluster.pod_b, kPodB6, 9002},
                          {&cluster.client, &cluster.pod_b, kPodB4, 9003}},
                    3000);
    denied.emplace(Flows{{&cluster.pod_c, &cluster.pod_b, kPodB4, 9004},
                         {&cluster.pod_c, &cluster.pod_b, kPodB6, 9005}},
                   200);
  }

  // Until a generation of this agent is in force, without problems `but` of one code. Seconds it took.
  double Start(const std::string& but = "") {
    const auto began = Clock::now();
    cluster.SpawnAgent();
    EXPECT_TRUE(PollUntil([&] { return Generation(cluster) >= 1 && !HasProblem(cluster, but); }))
        << cluster.AgentLog();
    return std::chrono::duration<double>(Clock::now() - began).count();
  }

  void Kill() {
    const int status = cluster.StopAgent(SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(status)) << status;
  }

  // For some time of a life that may end before it serves.
  void RunFor(double seconds) {
    cluster.SpawnAgent();
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  }

  // Id of the pinned map of IPv4 connections.
  uint32_t ConntrackId() const {
    const KernelObjects pinned = PinnedBelow(cluster.bpf_root() + "/maps", "ct4");
    return pinned.maps.empty() ? 0 : pinned.maps.begin()->first;
  }

  void Look() { seen.Merge(NodeState::Of(cluster).objects); }

  // After the last start: nothing of all that was there is left but what is in force.
  void ExpectCleanSince(const NodeState& first) {
    EXPECT_TRUE(PollUntil([&] { return NodeState::Of(cluster).LooksLike(first); }, 10));
    const NodeState last = NodeState::Of(cluster);
    EXPECT_TRUE(last.LooksLike(first)) << "first: " << ToString(first.objects)
                                       << "\nlast: " << ToString(last.objects);
    EXPECT_TRUE(PollUntil([&] { return seen.StillThere(last.objects).empty(); }, 10))
        << "left in the kernel: " << seen.StillThere(last.objects);
  }

  void ExpectNoGap() {
    for (const CountedStreams::Counts& counts : allowed->Stop()) {
      EXPECT_EQ(counts.lost(), 0u) << "of " << counts.sent;
      EXPECT_GT(counts.sent, 100u);
    }
    for (const CountedStreams::Counts& counts : denied->Stop()) {
      EXPECT_EQ(counts.received, 0u) << "of " << counts.sent << " that policy denies";
      EXPECT_GT(counts.sent, 10u);
    }
    EXPECT_EQ(crowd->CountAlive(), 20u);
    EXPECT_EQ(crowd->broken(), 0u);
  }

  Cluster cluster;
  std::optional<TcpCrowd> crowd;
  std::optional<CountedStreams> allowed, denied;
  KernelObjects seen;  // ever held or pinned
};

// What the call makes is gone with the process: to be killed before one of these or before the next
// comes to the same.
bool DiesWithTheProcess(const SyscallGate::Call& call) {
  switch (BpfCommand(call)) {
    case BPF_MAP_CREATE:
    case BPF_PROG_LOAD:
    case BPF_BTF_LOAD:
    case BPF_OBJ_GET:
    case BPF_OBJ_GET_INFO_BY_FD:
    case BPF_PROG_BIND_MAP:
    case BPF_MAP_FREEZE:
    case BPF_MAP_LOOKUP_ELEM:
      return true;
    default:
      return false;
  }
}

// The calls of a change to kill an agent before: all that leave something, of the others each fifth.
std::vector<int> CallsToDieBefore(Cluster& cluster, SyscallGate& gate) {
  std::vector<int> chosen;
  int calls = 0;
  gate.SetJudge([&](const SyscallGate::Call& call) {
    if (++calls % 5 == 0 || !DiesWithTheProcess(call)) chosen.push_back(calls);
    return 0;
  });
  const uint64_t generation = Generation(cluster);
  cluster.SetConfig(LargeConfig());
  EXPECT_TRUE(PollUntil([&] { return Generation(cluster) > generation; }));
  gate.SetJudge({});
  return chosen;
}

TEST_F(Restart, ServesOnWhicheverCallOfAChangeItIsKilledBefore) {
  SyscallGate gate(BpfStateCalls());
  cluster.in_child = [&] { return gate.InChild(); };
  Begin();
  const NodeState first = NodeState::Of(cluster);
  const std::vector<int> chosen = CallsToDieBefore(cluster, gate);
  EXPECT_GT(chosen.size(), 80u);
  cluster.SetConfig(Small());
  EXPECT_TRUE(cluster.WaitInSync());
  int kills = 0;
  for (const int k : chosen) {
    if (HasFailure()) break;
    std::atomic<bool> killed = false;
    const uint64_t generation = Generation(cluster);
    gate.SetJudge([&, calls = 0](const SyscallGate::Call&) mutable {
      if (++calls == k) killed = kill(cluster.agent_pid(), SIGKILL) == 0;
      return 0;
    });
    cluster.SetConfig(LargeConfig());
    EXPECT_TRUE(PollUntil([&] { return killed || Generation(cluster) > generation; })) << k;
    gate.SetJudge({});
    if (!killed) break;  // there is no such call any more
    ++kills;
    seen.Merge(PinnedBelow(cluster.bpf_root()));
    Kill();
    cluster.SetConfig(Small());
    Start();
    Look();
    EXPECT_TRUE(PollUntil([&] { return NodeState::Of(cluster).LooksLike(first); }, 10))
        << "killed before call " << k;
  }
  EXPECT_GT(kills, 80);
  std::printf("killed before %d calls\n", kills);
  if (HasFailure()) return;
  cluster.SetConfig(Small());
  ASSERT_TRUE(cluster.WaitInSync());
  ExpectCleanSince(first);
  ExpectNoGap();
}

TEST_F(Restart, ServesOnWhenKilledAtRandomTwoHundredTimes) {
  ForeignPrograms foreign(cluster.node);
  foreign.AddTcx("veth-a", true);
  foreign.AddFilter("veth-b");
  foreign.AddXdp("veth-c");
  Begin();
  foreign.AddTcx("veth-a", true);
  foreign.AddTcx("veth-a", false);
  foreign.AddFilter("uplink");
  const NodeState first = NodeState::Of(cluster);
  const uint32_t ct4 = ConntrackId();
  std::mt19937 random(4);
  double start_seconds = 0.5;
  for (int i = 0; i < 200 && !HasFailure(); ++i) {
    Kill();
    cluster.SetConfig(random() % 2 == 0 ? LargeConfig() : Small());
    if (i % 20 == 19) {
      start_seconds = Start();
      Look();
      EXPECT_EQ(foreign.Missing(), "");
      EXPECT_EQ(ConntrackId(), ct4) << "conntrack began anew";
    } else {
      RunFor(std::uniform_real_distribution<>(0, 1.3 * start_seconds)(random));
      seen.Merge(PinnedBelow(cluster.bpf_root()));
    }
  }
  Kill();
  cluster.SetConfig(Small());
  Start();
  ExpectCleanSince(first);
  EXPECT_EQ(ConntrackId(), ct4);
  ExpectNoGap();
  EXPECT_EQ(foreign.Missing(), "");
  Kill();
  const auto uninstalled = cluster.node.Exec(std::string(BONSAI_BIN_DIR "/bonsai-agent --uninstall") +
                                             " --socket " + cluster.socket() + " --bpf-root " +
                                             cluster.bpf_root());
  EXPECT_EQ(uninstalled.exit_code, 0) << uninstalled.output;
  EXPECT_EQ(foreign.Missing(), "") << "after uninstalling";
  EXPECT_TRUE(PollUntil([&] { return seen.StillThere().empty(); }, 10))
      << "after uninstalling: " << seen.StillThere();
}

// The previous build is stood in for by today's datapath with other layouts: connections have more
// fields, and there are more tail-call slots (CMakeLists.txt).
TEST_F(Restart, TakesOverFromABuildWithOtherLayouts) {
  Begin({"--bpf-dir", BONSAI_PREVIOUS_BPF_DIR});
  const KernelObjects earlier = NodeState::Of(cluster).objects;
  const uint32_t ct4 = ConntrackId();
  EXPECT_EQ(WEXITSTATUS(cluster.StopAgent(SIGTERM)), 0);
  // A map of a feature that is no more, and a generation that was never finished.
  const std::string root = cluster.bpf_root();
  ASSERT_EQ(Shell("bpftool map create " + root + "/maps/bygone type array key 4 value 4 entries 1 "
                  "name bygone && mkdir " + root + "/next-7 && bpftool map create " + root +
                  "/next-7/half type array key 4 value 4 entries 1 name half").exit_code, 0);
  seen.Merge(earlier);
  seen.Merge(PinnedBelow(root));
  cluster.SetConfig(Small());
  Start("layout");
  EXPECT_TRUE(HasProblem(cluster)) << "a map that starts empty is not said";
  EXPECT_NE(ConntrackId(), ct4) << "a map of another layout was taken over";
  const NodeState last = NodeState::Of(cluster);
  for (uint32_t link : earlier.links) EXPECT_TRUE(last.objects.links.contains(link));
  for (const std::string& pin : last.pins) {
    EXPECT_THAT(pin, Not(HasSubstr("next-")));
    EXPECT_THAT(pin, Not(HasSubstr("bygone")));
  }
  for (const char* map : {"endpoints", "policy"}) {
    const KernelObjects pinned = PinnedBelow(root + "/maps", map);
    for (const auto& [id, bytes] : pinned.maps) {
      EXPECT_TRUE(earlier.maps.contains(id)) << map << " has the same layout";
    }
  }
  EXPECT_TRUE(PollUntil([&] { return seen.StillThere(last.objects).empty(); }, 10))
      << seen.StillThere(last.objects);
  ExpectNoGap();
}

}  // namespace
}  // namespace bonsai::testing
