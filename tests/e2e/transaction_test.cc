// SPDX-License-Identifier: Apache-2.0
// A change of configuration is all or nothing: each system call by which it changes the kernel is
// made to fail in turn, under traffic that is counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "tests/e2e/node_state.h"
#include "tests/support/cluster.h"
#include "tests/support/counted_streams.h"
#include "tests/support/syscall_gate.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;
using Call = SyscallGate::Call;

// Judges the calls of one change: counts them, fails those that are chosen, and holds all that
// follow once it is told to, so that what the change left can be looked at.
class Fault {
 public:
  using Chosen = std::function<bool(int index, const Call&)>;
  Fault(SyscallGate& gate, int error, Chosen chosen)
      : gate_(gate), error_(error), chosen_(std::move(chosen)) {
    gate_.SetJudge([this](const Call& call) { return Judge(call); });
  }
  ~Fault() {
    held_ = false;
    gate_.SetJudge({});
  }
  int failed() const { return failed_; }
  const std::string& what() const { return what_; }  // the first one that failed; while held
  void Hold() { held_ = true; }

 private:
  int Judge(const Call& call) {
    while (held_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!chosen_(++calls_, call)) return 0;
    if (failed_++ == 0) what_ = Describe(call);
    return error_;
  }

  SyscallGate& gate_;
  const int error_;
  const Chosen chosen_;
  int calls_ = 0;
  std::atomic<int> failed_{0};
  std::atomic<bool> held_{false};
  std::string what_;
};

// libbpf tries these again, so that one failure alone would be no failure.
bool IsTriedAgain(int command) {
  return command == BPF_MAP_CREATE || command == BPF_PROG_LOAD || command == BPF_BTF_LOAD;
}

// The k-th call, and with it all later ones of a command that would be tried again.
Fault::Chosen Nth(int k) {
  return [k, command = -1](int index, const Call& call) mutable {
    if (index == k && IsTriedAgain(BpfCommand(call))) command = BpfCommand(call);
    return index == k || (command >= 0 && BpfCommand(call) == command);
  };
}

class Transaction : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster.in_child = [this] { return gate.InChild(); };
    Put(SmallConfig());
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
    streams.emplace(std::vector<CountedStreams::Flow>{{&cluster.pod_a, &cluster.pod_b, kPodB4, 9001},
                                                      {&cluster.pod_a, &cluster.pod_b, kPodB6, 9002},
                                                      {&cluster.client, &cluster.pod_b, kPodB4, 9003}},
                    3000);
  }
  void TearDown() override {
    if (!streams) return;
    for (const CountedStreams::Counts& counts : streams->Stop()) {
      EXPECT_EQ(counts.lost(), 0u) << "of " << counts.sent;
      EXPECT_GT(counts.sent, 100u);
    }
  }

  // Each time another configuration, so that it is tried at once.
  void Put(ConfigMap config) {
    config["ct-tcp-timeout"] = std::to_string(1000 + ++puts_);
    cluster.SetConfig(config);
  }
  // What a change came to: in force, or refused with a problem.
  bool WaitDecided(uint64_t generation) {
    return PollUntil(
        [&] { return Generation(cluster) > generation || !FailureInfo(cluster).empty(); });
  }
  // Puts `config` into force and waits until nothing is wrong any more.
  bool Settle(const ConfigMap& config) {
    const uint64_t generation = Generation(cluster);
    Put(config);
    return PollUntil([&] { return Generation(cluster) > generation && !HasProblem(cluster); });
  }

  void ExpectRefused(const NodeState& before, const std::string& what) {
    const NodeState after = NodeState::Of(cluster);
    EXPECT_TRUE(after.objects.SameAs(before.objects))
        << what << "\nbefore: " << ToString(before.objects) << "\nafter: " << ToString(after.objects);
    EXPECT_EQ(after.pins, before.pins) << what;
    // A watcher may just be reading a directory.
    const auto kept = [&] { return NodeState::Of(cluster).descriptors <= before.descriptors; };
    EXPECT_TRUE(PollUntil(kept, 5)) << what << ": " << NodeState::Of(cluster).descriptors
                                    << " descriptors, not " << before.descriptors;
    const std::string told = FailureInfo(cluster);
    EXPECT_THAT(told, HasSubstr("step=\"")) << what;
    EXPECT_EQ(told.find("step=\"\""), std::string::npos) << what << told;
    EXPECT_EQ(told.find("object=\"\""), std::string::npos) << what << told;
  }
  // The links of devices that stay are never made anew: that would be a gap.
  void ExpectKept(const std::string& what) {
    const KernelObjects after = NodeState::Of(cluster).objects;
    for (uint32_t link : permanent) EXPECT_TRUE(after.links.contains(link)) << what;
  }

  // The calls of an undisturbed change.
  std::vector<std::string> Record(const ConfigMap& to) {
    std::vector<std::string> calls;
    gate.SetJudge([&](const Call& call) {
      calls.push_back(Describe(call));
      return 0;
    });
    EXPECT_TRUE(Settle(to));
    gate.SetJudge({});
    return calls;
  }

  // Fails call after call of a change from `from` to `to`. Of the calls of a kind that is made up for
  // (the kernel's answer is optional, or asked for again) a few are enough. Returns how many failed.
  int Sweep(const ConfigMap& from, const ConfigMap& to) {
    const std::vector<std::string> calls = Record(to);
    EXPECT_TRUE(Settle(from));
    const NodeState first = NodeState::Of(cluster);
    std::map<std::string, int> made_up_for;
    int failed = 0;
    for (size_t k = 1; k <= calls.size() && !HasFailure(); ++k) {
      if (made_up_for[calls[k - 1]] >= 3) continue;
      const std::string what = FailOne(static_cast<int>(k), from, to);
      if (what.empty()) break;
      failed += 1;
      if (last_refused_) {
        ++refused;
      } else {
        ++made_up_for[calls[k - 1]];
      }
      EXPECT_TRUE(PollUntil([&] { return NodeState::Of(cluster).LooksLike(first); }, 10))
          << what << "\nfirst: " << ToString(first.objects)
          << "\nnow: " << ToString(NodeState::Of(cluster).objects);
    }
    return failed;
  }

  // What failed; "" when the change has fewer calls. `from` is in force before and after.
  std::string FailOne(int k, const ConfigMap& from, const ConfigMap& to) {
    const NodeState before = NodeState::Of(cluster);
    const uint64_t generation = Generation(cluster);
    std::string what;
    {
      Fault fault(gate, k % 2 ? ENOMEM : EPERM, Nth(k));
      Put(to);
      EXPECT_TRUE(WaitDecided(generation)) << "call " << k << " left no trace";
      fault.Hold();
      if (fault.failed() > 0) what = "call " + std::to_string(k) + ", " + fault.what();
      last_refused_ = Generation(cluster) == generation;
      if (last_refused_) ExpectRefused(before, what);
      ExpectKept(what);
    }
    if (last_refused_) {
      Put(from);
      EXPECT_TRUE(PollUntil([&] { return !HasProblem(cluster); })) << what;
    } else {
      EXPECT_TRUE(Settle(from)) << what;
    }
    return what;
  }

  Cluster cluster;
  SyscallGate gate{BpfStateCalls()};
  std::optional<CountedStreams> streams;
  std::set<uint32_t> permanent;  // ids of links
  int refused = 0;

 private:
  int puts_ = 0;
  bool last_refused_ = false;
};

TEST_F(Transaction, RollsBackWhicheverCallFailsAsFeaturesComeAndGo) {
  permanent = NodeState::Of(cluster).objects.links;
  const int up = Sweep(SmallConfig(), LargeConfig());
  EXPECT_GT(refused, 100) << "calls that the change cannot do without";
  const int down = Sweep(LargeConfig(), SmallConfig());
  EXPECT_GT(refused, 150);
  std::printf("%d + %d calls failed, %d changes refused\n", up, down, refused);
}

// The third device refuses, and the kernel also refuses to put the first two back.
TEST_F(Transaction, KeepsServingWhereADeviceCannotBePutBack) {
  const NodeState before = NodeState::Of(cluster);
  const uint64_t generation = Generation(cluster);
  EchoServer server(cluster.pod_b, Proto::kTcp, kServerPort, "b");
  {
    Fault fault(gate, ENOMEM, [updates = 0](int, const Call& call) mutable {
      return BpfCommand(call) == BPF_LINK_UPDATE && ++updates > 2;
    });
    Put(LargeConfig());
    ASSERT_TRUE(WaitDecided(generation));
    EXPECT_EQ(Generation(cluster), generation);
    EXPECT_THAT(cluster.Ctl("status")["problems"].dump(), HasSubstr("putting back"));
    // New connections take the tail calls of whichever generation they meet.
    for (const Netns* from : {&cluster.pod_a, &cluster.pod_c, &cluster.client}) {
      EXPECT_EQ(Ask(*from, Proto::kTcp, kPodB4, kServerPort), "b") << from->name();
      EXPECT_EQ(Ask(*from, Proto::kTcp, kPodB6, kServerPort), "b") << from->name();
    }
    cluster.StopAgent(SIGTERM);
    for (const Netns* from : {&cluster.pod_a, &cluster.pod_c, &cluster.client}) {
      EXPECT_EQ(Ask(*from, Proto::kTcp, kPodB4, kServerPort), "b") << from->name();
    }
  }
  cluster.SetConfig(SmallConfig());
  cluster.StartAgent();
  EXPECT_TRUE(PollUntil([&] { return NodeState::Of(cluster).LooksLike(before); }, 10));
}

TEST_F(Transaction, GoesOnWithoutADeviceThatGoesBetweenPlanAndAttach) {
  const uint64_t generation = Generation(cluster);
  {
    Fault fault(gate, 0, [&, gone = false](int, const Call& call) mutable {
      if (BpfCommand(call) == BPF_LINK_UPDATE && !std::exchange(gone, true)) {
        cluster.node.MustExec("ip link del veth-c");
      }
      return false;
    });
    Put(LargeConfig());
    ASSERT_TRUE(PollUntil([&] { return Generation(cluster) > generation; }));
  }
  EXPECT_NE(cluster.Ctl("status").dump().find("\"devices\":3"), std::string::npos)
      << cluster.Ctl("status").dump();
  EXPECT_TRUE(cluster.WaitProblem("attach", false)) << cluster.Ctl("status")["problems"];
}

TEST_F(Transaction, GivesTheKernelItsMemoryBack) {
  const NodeState small = NodeState::Of(cluster);
  ASSERT_TRUE(Settle(LargeConfig()));
  NodeState large = NodeState::Of(cluster);
  EXPECT_GT(large.objects.Bytes(), small.objects.Bytes() + 250'000);
  EXPECT_TRUE(PollUntil([&] { return small.objects.StillThere(large.objects).empty(); }, 10))
      << "of the first generation: " << small.objects.StillThere(large.objects);
  ASSERT_TRUE(Settle(SmallConfig()));
  EXPECT_TRUE(PollUntil([&] { return NodeState::Of(cluster).LooksLike(small); }, 10));
  const NodeState again = NodeState::Of(cluster);
  EXPECT_EQ(again.objects.Bytes(), small.objects.Bytes());
  // Tail-call arrays and programs of the second generation too: asked of the kernel, by id.
  EXPECT_TRUE(PollUntil([&] { return large.objects.StillThere(again.objects).empty(); }, 10))
      << "of the second generation: " << large.objects.StillThere(again.objects);
}

}  // namespace
}  // namespace bonsai::testing
