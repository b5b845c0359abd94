// SPDX-License-Identifier: Apache-2.0
// attach/ on real devices, with traffic across every swap.
#include <linux/bpf.h>
#include <unistd.h>

#include <optional>

#include "agent/base/status.h"
#include "agent/kernel/bpf_program.h"
#include "agent/kernel/features.h"
#include "tests/integration/lab.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using attach::Attached;
using attach::Mechanism;
using attach::Target;

load::Loaded Generation(uint32_t mark, const load::ExistingMaps& existing = {},
                        const std::string& root = "") {
  ObjectChoice tc{.file = "generation", .constants = {{"mark", mark}}, .dead_maps = {"big"},
                  .dead_programs = {"tail_dead"}};
  auto loaded = load::Execute(PlanOf({tc, {.file = "pass", .name = "xdp"}}), existing,
                              {.root = root});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return std::move(loaded).value();
}

// The same entry program at both tc hooks.
attach::Programs ProgramsOf(const load::Loaded& loaded) {
  attach::Programs programs = attach::EntryPrograms(loaded);
  programs[HOOK_TO_POD] = programs[HOOK_FROM_POD];
  return programs;
}

class AttachTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    REQUIRE_ROOT();
    auto features = kernel::Probe();
    ASSERT_OK(features);
    if (GetParam() && !features->tcx) GTEST_SKIP() << "this kernel has no TCX";
    root.emplace();
    lab.emplace();
    scope.emplace(lab->host);
  }
  void TearDown() override {
    if (!root) return;
    EXPECT_TRUE(attach::RemoveAll(root->path()).ok());
    scope.reset();
  }
  attach::Options Options() const { return {.root = root->path(), .use_tcx = GetParam()}; }
  Mechanism Expected() const { return GetParam() ? Mechanism::kTcx : Mechanism::kClsact; }
  std::vector<Target> AllTargets() const {
    return {lab->Device("h0", HOOK_FROM_POD), lab->Device("h0", HOOK_TO_POD),
            lab->Device("h1", HOOK_FROM_POD), lab->Device("h1", HOOK_TO_POD),
            lab->Device("h0", HOOK_XDP)};
  }
  std::string TcState() const {
    return lab->host.Exec("tc qdisc show; for d in h0 h1; do for s in ingress egress; do "
                          "tc filter show dev $d $s; done; done; bpftool net show").output;
  }

  // Someone else's XDP program, there while the link lives.
  kernel::BpfLink ForeignXdp(const std::string& device) const {
    static constexpr kernel::RawInsn kPass[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, XDP_PASS},
                                                {BPF_JMP | BPF_EXIT, 0, 0, 0}};
    auto program = kernel::LoadRaw(BPF_PROG_TYPE_XDP, "foreign_xdp", kPass);
    EXPECT_TRUE(program.ok()) << program.status();
    auto link = kernel::BpfLink::AttachXdp(program->get(), lab->host.IfIndex(device),
                                           kernel::XdpMode::kGeneric);
    EXPECT_TRUE(link.ok()) << link.status();
    return std::move(link).value();
  }

  std::optional<PinRoot> root;
  std::optional<Lab> lab;
  std::optional<NetnsScope> scope;
};

INSTANTIATE_TEST_SUITE_P(Mechanism, AttachTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? "Tcx" : "Clsact";
});

TEST_P(AttachTest, RunsTheProgramsOnTheDevices) {
  load::Loaded loaded = Generation(0);
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  auto outcome = attached->Upsert(AllTargets(), ProgramsOf(loaded));
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->created, 5u);
  EXPECT_EQ(attached->attachments().size(), 5u);
  for (const attach::Attachment& attachment : attached->attachments()) {
    EXPECT_EQ(attachment.mechanism, attachment.target.hook == HOOK_XDP ? Mechanism::kXdpNative
                                                                       : Expected());
  }
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1"));
  EXPECT_GE(Counter(loaded, 0), 2u);
  EXPECT_EQ(Counter(loaded, 0), Counter(loaded, 3));
  EXPECT_GE(Counter(loaded, 0, "xdp_packets"), 1u);
  // Once more changes nothing.
  outcome = attached->Upsert(AllTargets(), ProgramsOf(loaded));
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->unchanged, 5u);
  EXPECT_EQ(outcome->created + outcome->updated + outcome->removed, 0u);
}

TEST_P(AttachTest, SwapsGenerationsWithoutLosingAPacket) {
  load::Loaded running = Generation(0, {}, root->path());
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  ASSERT_OK(attached->Upsert(AllTargets(), ProgramsOf(running)));
  ASSERT_OK(running.Commit());
  uint64_t lost = 0, answered = 0;
  EchoServer tcp(lab->host, Proto::kTcp, 7000, "host"), udp(lab->host, Proto::kUdp, 7000, "host");
  {
    SteadyTraffic traffic(lab->pod, "10.77.0.1", 7000);
    for (uint32_t i = 1; i <= 40; ++i) {
      load::Loaded next = Generation(i % 2, running.Shareable(), root->path());
      auto outcome = attached->Upsert(AllTargets(), ProgramsOf(next));
      ASSERT_OK(outcome);
      EXPECT_EQ(outcome->updated, 5u);
      ASSERT_OK(next.Commit());
      running = std::move(next);
    }
    lost = traffic.lost();
    answered = traffic.answered();
  }
  EXPECT_EQ(lost, 0u);
  EXPECT_GT(answered, 1000u);
  EXPECT_GT(Counter(running, 1), 0u);
  EXPECT_EQ(Counter(running, 0) + Counter(running, 1), Counter(running, 3));
}

TEST_P(AttachTest, PutsAllBackWhenOneDeviceRefuses) {
  load::Loaded running = Generation(0), next = Generation(1, running.Shareable());
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  std::vector<Target> before = {lab->Device("h0", HOOK_FROM_POD), lab->Device("h0", HOOK_TO_POD)};
  ASSERT_OK(attached->Upsert(before, ProgramsOf(running)));
  std::string state = TcState();
  auto pins = root->Contents();
  // A foreign XDP program holds h1: the last step is refused.
  std::optional<kernel::BpfLink> foreign = ForeignXdp("h1");
  std::string with_foreign = TcState();
  std::vector<Target> after = AllTargets();
  after.push_back(lab->Device("h1", HOOK_XDP));
  auto outcome = attached->Upsert(after, ProgramsOf(next));
  ASSERT_FALSE(outcome.ok());
  std::string message = base::Message(outcome.status());
  EXPECT_NE(message.find("xdp of h1"), std::string::npos) << message;
  EXPECT_NE(message.find("another XDP program"), std::string::npos) << message;
  EXPECT_EQ(TcState(), with_foreign) << "the foreign program or one of ours was changed";
  EXPECT_EQ(root->Contents(), pins);
  EXPECT_EQ(attached->attachments().size(), 2u);
  uint64_t old_count = Counter(running, 0), new_count = Counter(running, 1);
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1"));
  EXPECT_GT(Counter(running, 0), old_count);
  EXPECT_EQ(Counter(running, 1), new_count);
  // With the foreign program gone it works.
  foreign.reset();
  EXPECT_EQ(TcState(), state);
  ASSERT_OK(attached->Upsert(after, ProgramsOf(next)));
  EXPECT_EQ(attached->attachments().size(), 6u);
}

TEST_P(AttachTest, SkipsDevicesThatAreGone) {
  load::Loaded running = Generation(0), next = Generation(1, running.Shareable());
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  std::vector<Target> targets = AllTargets();
  ASSERT_OK(attached->Upsert(targets, ProgramsOf(running)));
  targets.insert(targets.begin(), {"nosuch", 987654, HOOK_FROM_POD});
  targets.insert(targets.begin(), {"nosuch", 987654, HOOK_XDP});
  lab->host.MustExec("ip link del h1");
  auto outcome = attached->Upsert(targets, ProgramsOf(next));
  ASSERT_OK(outcome);
  ASSERT_EQ(outcome->skipped.size(), 4u);
  EXPECT_EQ(outcome->skipped[0].target.ifname, "nosuch");
  EXPECT_EQ(outcome->updated, 3u);
  EXPECT_EQ(attached->attachments().size(), 3u);
  EXPECT_EQ(outcome->warnings, std::vector<std::string>{});
  for (const std::string& pin : root->List("links")) {
    EXPECT_EQ(pin.find("987654"), std::string::npos) << pin;
  }
}

TEST_P(AttachTest, DetachesDevicesThatAreNoLongerWanted) {
  load::Loaded loaded = Generation(0);
  std::string clean = TcState();
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  ASSERT_OK(attached->Upsert(AllTargets(), ProgramsOf(loaded)));
  auto outcome = attached->Upsert({lab->Device("h0", HOOK_FROM_POD)}, ProgramsOf(loaded));
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->removed, 4u);
  EXPECT_EQ(attached->attachments().size(), 1u);
  // A hook without a program is attached nowhere.
  outcome = attached->Upsert(AllTargets(), {});
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->removed, 1u);
  EXPECT_EQ(TcState(), clean);
  EXPECT_EQ(root->List("links"), std::vector<std::string>{});
  EXPECT_EQ(root->List("progs"), std::vector<std::string>{});
}

TEST_P(AttachTest, AdoptsWhatAnEarlierRunLeft) {
  load::Loaded first = Generation(0, {}, root->path());
  {
    auto attached = Attached::AdoptExisting(Options());
    ASSERT_OK(attached);
    ASSERT_OK(attached->Upsert(AllTargets(), ProgramsOf(first)));
    ASSERT_OK(first.Commit());
  }
  uint64_t before = Counter(first, 0);
  std::optional<kernel::BpfMap> counters = *first.FindMap("counters")->Duplicate();
  first = load::Loaded();  // the agent is gone, and with it all its descriptors
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1"));
  uint32_t slot = 0;
  uint64_t count = 0;
  ASSERT_OK(counters->Lookup(&slot, &count));
  EXPECT_GT(count, before) << "the datapath stopped with the agent";

  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  EXPECT_EQ(attached->attachments().size(), 5u);
  auto pinned = load::OpenPinnedMaps(root->path());
  load::ExistingMaps existing;
  for (const auto& [name, map] : *pinned) existing[name] = &map;
  load::Loaded second = Generation(1, existing, root->path());
  auto outcome = attached->Upsert(AllTargets(), ProgramsOf(second));
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->updated, 5u);
  EXPECT_EQ(outcome->created, 0u);
  ASSERT_OK(second.Commit());
  // An adopted generation can be put back as well.
  std::optional<kernel::BpfLink> foreign = ForeignXdp("h1");
  auto restarted = Attached::AdoptExisting(Options());
  ASSERT_OK(restarted);
  load::Loaded third = Generation(2, second.Shareable(), root->path());
  std::vector<Target> too_many = AllTargets();
  too_many.push_back(lab->Device("h1", HOOK_XDP));
  outcome = restarted->Upsert(too_many, ProgramsOf(third));
  EXPECT_TRUE(absl::IsAlreadyExists(outcome.status())) << outcome.status();
  uint64_t old_count = Counter(second, 1), new_count = Counter(second, 2);
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1"));
  EXPECT_GT(Counter(second, 1), old_count);
  EXPECT_EQ(Counter(second, 2), new_count);
}

TEST_P(AttachTest, SurvivesAKillBetweenAttachAndCommit) {
  load::Loaded first = Generation(0, {}, root->path());
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  ASSERT_OK(attached->Upsert(AllTargets(), ProgramsOf(first)));
  ASSERT_OK(first.Commit());
  // In a process of its own, which ends as by SIGKILL: no destructor runs.
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    load::Loaded next = Generation(1, first.Shareable(), root->path());
    bool ok = attached->Upsert(AllTargets(), ProgramsOf(next)).ok();
    _exit(ok ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  uint64_t tails = Counter(first, 3);
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1")) << "the new generation lost its tail-call array";
  EXPECT_GT(Counter(first, 3), tails);
  EXPECT_GT(Counter(first, 1), 0u);
  // The next agent sees through it.
  auto again = Attached::AdoptExisting(Options());
  ASSERT_OK(again);
  EXPECT_EQ(again->attachments().size(), 5u);
  load::Loaded next = Generation(2, first.Shareable(), root->path());
  auto outcome = again->Upsert(AllTargets(), ProgramsOf(next));
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->updated, 5u);
  ASSERT_OK(next.Commit());
  EXPECT_EQ(root->List(""), (std::vector<std::string>{"layouts", "links", "maps", "progs"}));
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1"));
  EXPECT_GT(Counter(next, 2), 0u);
}

TEST_P(AttachTest, LeavesForeignProgramsAlone) {
  lab->host.MustExec("tc qdisc add dev h0 clsact");
  auto theirs = load::Execute(PlanOf({{.file = "foreign", .name = "foreign"}}), {}, {});
  ASSERT_OK(theirs);
  int program = theirs->ProgramFd("foreign", "foreign");
  kernel::ClsactSlot place{.ifindex = lab->host.IfIndex("h0"), .priority = 5, .handle = 7};
  ASSERT_OK(kernel::AttachClsact(place, program, false));
  std::optional<kernel::BpfLink> link;
  if (GetParam()) {
    auto made = kernel::BpfLink::AttachTcx(program, place.ifindex, kernel::Direction::kIngress);
    ASSERT_OK(made);
    link = *std::move(made);
  }
  std::string foreign = TcState();
  ASSERT_NE(foreign.find("pref 5"), std::string::npos) << foreign;
  load::Loaded loaded = Generation(0);
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  ASSERT_OK(attached->Upsert(AllTargets(), ProgramsOf(loaded)));
  EXPECT_NE(TcState(), foreign);
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1"));
  EXPECT_GE(Counter(*theirs, 0, "foreign_seen"), 1u);
  ASSERT_OK(attach::RemoveAll(root->path()));
  EXPECT_EQ(TcState(), foreign);
}

TEST_P(AttachTest, RemoveAllLeavesTheNodeAsBefore) {
  std::string clean = TcState();
  load::Loaded loaded = Generation(0, {}, root->path());
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  ASSERT_OK(attached->Upsert(AllTargets(), ProgramsOf(loaded)));
  ASSERT_OK(loaded.Commit());
  EXPECT_NE(TcState(), clean);
  ASSERT_OK(attach::RemoveAll(root->path()));
  ASSERT_OK(load::RemovePins(root->path()));
  EXPECT_EQ(TcState(), clean);
  EXPECT_NE(access(root->path().c_str(), F_OK), 0);
}

TEST_P(AttachTest, AttachesAgainWhatSomeoneDetached) {
  load::Loaded loaded = Generation(0);
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  std::vector<Target> targets = {lab->Device("h0", HOOK_FROM_POD)};
  ASSERT_OK(attached->Upsert(targets, ProgramsOf(loaded)));
  if (GetParam()) {
    auto link = kernel::BpfLink::OpenPinned(root->path() + "/links/" + root->List("links")[0]);
    ASSERT_OK(link);
    ASSERT_OK(link->Detach());
  } else {
    lab->host.MustExec("tc qdisc del dev h0 clsact");
  }
  auto outcome = attached->Upsert(targets, ProgramsOf(loaded));
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->created, 1u);
  EXPECT_TRUE(Ping(lab->pod, "10.77.0.1"));
  EXPECT_GT(Counter(loaded, 0), 0u);
}

// ---- what is not about TCX or clsact ----

TEST_P(AttachTest, FallsBackToGenericXdp) {
  load::Loaded loaded = Generation(0);
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  // The loopback driver has no XDP of its own; h1 has.
  auto outcome = attached->Upsert({{"lo", 1, HOOK_XDP}, lab->Device("h1", HOOK_XDP)},
                                  ProgramsOf(loaded));
  ASSERT_OK(outcome);
  ASSERT_EQ(attached->attachments().size(), 2u);
  EXPECT_EQ(attached->attachments()[0].mechanism, Mechanism::kXdpGeneric);
  EXPECT_EQ(attached->attachments()[1].mechanism, Mechanism::kXdpNative);
  EXPECT_TRUE(Ping(lab->host, "127.0.0.1"));
  EXPECT_GE(Counter(loaded, 0, "xdp_packets"), 2u);
  auto adopted = Attached::AdoptExisting(Options());
  ASSERT_OK(adopted);
  EXPECT_EQ(adopted->attachments()[0].mechanism, Mechanism::kXdpGeneric);
  EXPECT_EQ(adopted->attachments()[1].mechanism, Mechanism::kXdpNative);
}

TEST_P(AttachTest, RefusesAClsactPlaceThatIsTaken) {
  load::Loaded loaded = Generation(0);
  auto attached = Attached::AdoptExisting(Options());
  ASSERT_OK(attached);
  std::vector<Target> targets = {lab->Device("h0", HOOK_FROM_POD)};
  // A foreign BPF program at our very priority and handle.
  ASSERT_OK(kernel::EnsureClsact(targets[0].ifindex));
  load::Loaded foreign = Generation(1);
  kernel::ClsactSlot place{.ifindex = targets[0].ifindex, .priority = 176,
                           .handle = 0xb0500 + HOOK_FROM_POD};
  ASSERT_OK(kernel::AttachClsact(place, foreign.ProgramFd("from_pod", "entry"), false));
  std::string before = TcState();
  auto outcome = attached->Upsert(targets, ProgramsOf(loaded));
  if (GetParam()) {  // TCX has no places: both run
    ASSERT_OK(outcome);
    ASSERT_OK(attached->DetachAll());
  } else {
    EXPECT_TRUE(absl::IsAlreadyExists(outcome.status())) << outcome.status();
  }
  EXPECT_EQ(TcState(), before);
  EXPECT_EQ(root->List("links"), std::vector<std::string>{});
}

}  // namespace
}  // namespace bonsai::testing
