// SPDX-License-Identifier: Apache-2.0
// A node after the shipped agent was on it and was taken off: as before, with all that others have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Uninstall : public ::testing::Test {
 protected:
  Uninstall() {
    pin = "/sys/fs/bpf/bonsai-test-foreign-" + std::to_string(getpid());
    // Everyone else's: an XDP program, a qdisc, a filter in a clsact qdisc, a pin.
    cluster.node.MustExec(
        "bpftool prog load " BONSAI_BPF_DIR "/xdp.bpf.o " + pin +
        " && bpftool prog load " BONSAI_BPF_DIR "/from_netdev.bpf.o " + pin + "-tc"
        " && ip link add other type veth peer name rehto && ip link set other up"
        " && bpftool net attach xdpgeneric pinned " + pin + " dev other"
        " && tc qdisc add dev veth-b root pfifo limit 11 && tc qdisc add dev veth-a clsact"
        " && tc filter add dev veth-a ingress pref 9 bpf da pinned " + pin + "-tc");
  }
  ~Uninstall() override { Shell("rm -f " + pin + " " + pin + "-tc"); }

  void Start() {
    cluster.SetConfig({{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"},
                       {"ct-entries", "4096"}, {"enable-policy", "true"},
                       {"enable-load-balancer", "true"}, {"enable-prefilter", "true"},
                       {"enable-flow-events", "true"}});
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
  }
  std::string Looks() {
    return cluster.node.Exec(
               "ip -d link show; tc qdisc show; for d in veth-a veth-b veth-c uplink other; do "
               "for s in ingress egress; do tc filter show dev $d $s; done; done; bpftool net show; "
               "sysctl -a --pattern '^net\\.(ipv4|ipv6|core)\\.' 2>/dev/null").output +
           Shell("find " + cluster.bpf_root() + " " + pin + "* 2>&1; ls -d /run/bonsai 2>&1; find " +
                 cluster.directory().string() + " -name '*.sock*'").output;
  }
  CommandResult Run(const std::string& program, const std::string& flags = "") {
    return cluster.node.Exec(BONSAI_BIN_DIR "/" + program + " --socket " + cluster.socket() +
                             " --bpf-root " + cluster.bpf_root() + " " + flags);
  }
  static bool Exists(const char* what, unsigned id) {
    return Shell(std::string("bpftool ") + what + " show id " + std::to_string(id)).exit_code == 0;
  }

  Cluster cluster;
  std::string pin;
  EchoServer server{cluster.pod_b, Proto::kTcp, kServerPort, "b"};
};

TEST_F(Uninstall, RestoresTheNodeAfterTheAgentWasKilled) {
  const std::string before = Looks();
  ASSERT_THAT(before, AllOf(HasSubstr("pref 9"), HasSubstr("pfifo"), HasSubstr(pin)));
  const std::set<unsigned> their_maps = cluster.KernelMapIds(),
                           their_programs = cluster.KernelProgramIds();
  for (const char* program : {"agentctl uninstall", "bonsai-agent --uninstall"}) {
    SCOPED_TRACE(program);
    Start();
    const auto ours = [](std::set<unsigned> ids, const std::set<unsigned>& theirs) {
      for (const unsigned id : theirs) ids.erase(id);
      return ids;
    };
    const std::set<unsigned> maps = ours(cluster.KernelMapIds(), their_maps);
    const std::set<unsigned> programs = ours(cluster.KernelProgramIds(), their_programs);
    ASSERT_FALSE(maps.empty() || programs.empty());
    cluster.StopAgent(SIGKILL);
    Shell("mkdir " + cluster.bpf_root() + "/next-3 && bpftool map pin id " +
          std::to_string(*maps.begin()) + " " + cluster.bpf_root() + "/next-3/left");
    const std::string running = Looks();
    ASSERT_THAT(running, AllOf(HasSubstr("agent.sock.lock"), HasSubstr("next-3/left")));
    const CommandResult dry = Run(program, "--dry-run");
    EXPECT_EQ(dry.exit_code, 0) << dry.output;
    EXPECT_THAT(dry.output, AllOf(HasSubstr("would remove link at xdp of uplink"),
                                  HasSubstr("next-3"), HasSubstr("agent.sock.lock")));
    EXPECT_EQ(Looks(), running);
    EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
    const CommandResult gone = Run(program);
    EXPECT_EQ(gone.exit_code, 0) << gone.output;
    EXPECT_EQ(Looks(), before);
    EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b") << "without us";
    // The kernel's own lists: nothing of ours is held by anyone.
    for (const unsigned id : maps) EXPECT_TRUE(WaitFor([&] { return !Exists("map", id); })) << id;
    for (const unsigned id : programs) {
      EXPECT_TRUE(WaitFor([&] { return !Exists("prog", id); })) << id;
    }
    EXPECT_EQ(cluster.KernelMapIds(), their_maps);
    EXPECT_EQ(cluster.KernelProgramIds(), their_programs);
    const CommandResult again = Run(program);
    EXPECT_EQ(again.exit_code, 0);
    EXPECT_EQ(again.output, "nothing to remove\n");
    EXPECT_EQ(Looks(), before);
  }
}

TEST_F(Uninstall, IsRefusedWhileAnAgentRunsAndNamesIt) {
  Start();
  const std::string running = Looks();
  const std::string pid = "pid " + std::to_string(cluster.agent_pid());
  const std::string other = (cluster.directory() / "other.sock").string();
  const std::string root = " --bpf-root " + cluster.bpf_root();
  for (const std::string& flags :
       {" --socket " + cluster.socket() + root, " --socket " + other + root,
        " --socket " + cluster.socket() + " --bpf-root /sys/fs/bpf/bonsai-test-none"}) {
    for (const char* program : {"agentctl uninstall", "bonsai-agent --uninstall"}) {
      const CommandResult refused = cluster.node.Exec(BONSAI_BIN_DIR "/" + std::string(program) + flags);
      EXPECT_EQ(refused.exit_code, 1) << program << flags;
      EXPECT_THAT(refused.output, AllOf(HasSubstr(pid), HasSubstr("stop it"))) << program << flags;
    }
  }
  EXPECT_EQ(Looks(), running);
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
  EXPECT_TRUE(cluster.Ctl("status").is_object());
}

}  // namespace
}  // namespace bonsai::testing
