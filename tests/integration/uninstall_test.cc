// SPDX-License-Identifier: Apache-2.0
// agentctl uninstall after an agent that was killed at its work: nothing of it is left, all of
// everyone else's is. With TCX and with clsact filters.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "agent/kernel/bpffs.h"
#include "agent/kernel/features.h"
#include "agent/load/pins.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

load::Loaded Generation(uint32_t mark, const std::string& root) {
  ObjectChoice tc{.file = "generation", .constants = {{"mark", mark}}, .dead_maps = {"big"},
                  .dead_programs = {"tail_dead"}};
  auto loaded = load::Execute(PlanOf({tc, {.file = "pass", .name = "xdp"}}), {}, {.root = root});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return std::move(loaded).value();
}

class UninstallTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    REQUIRE_ROOT();
    auto features = kernel::Probe();
    ASSERT_OK(features);
    if (GetParam() && !features->tcx) GTEST_SKIP() << "this kernel has no TCX";
    root.emplace();
    std::filesystem::remove(root->path());  // as on a node that never had an agent
    lab.emplace();
    scope.emplace(lab->host);
    std::string pattern = "/tmp/bonsai-test-XXXXXX";
    directory = mkdtemp(pattern.data());
  }
  void TearDown() override {
    scope.reset();
    std::error_code ignored;
    if (!directory.empty()) std::filesystem::remove_all(directory, ignored);
  }
  std::vector<attach::Target> Targets() const {
    return {lab->Device("h0", HOOK_FROM_POD), lab->Device("h0", HOOK_TO_POD),
            lab->Device("h1", HOOK_FROM_POD), lab->Device("h0", HOOK_XDP)};
  }
  // A process that attaches one generation, begins another and is killed there.
  void RunAndKill() {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      load::Loaded loaded = Generation(1, root->path());
      auto attached = attach::Attached::AdoptExisting({.root = root->path(), .use_tcx = GetParam()});
      attach::Programs programs = attach::EntryPrograms(loaded);
      programs[HOOK_TO_POD] = programs[HOOK_FROM_POD];
      const bool up = attached.ok() && attached->Upsert(Targets(), programs).ok() &&
                      loaded.Commit().ok();
      load::Loaded next = Generation(2, root->path());
      if (up) raise(SIGKILL);
      _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "could not attach";
    ASSERT_THAT(root->List(""), ::testing::Contains(HasSubstr("next-")));
  }
  std::string Looks() const {
    return lab->host.Exec("ip -d link show; tc qdisc show; for d in h0 h1; do for s in ingress egress; "
                          "do tc filter show dev $d $s; done; done; bpftool net show").output +
           Shell("find " + root->path() + " 2>&1; ls -a " + directory).output;
  }
  CommandResult Uninstall(const std::string& more = "") const {
    return lab->host.Exec(std::string(BONSAI_BIN_DIR "/agentctl uninstall --bpf-root ") +
                          root->path() + " --socket " + directory + "/agent.sock " + more);
  }
  // Kernel ids of the links that are pinned.
  std::vector<std::string> LinkIds() const {
    std::vector<std::string> ids;
    for (const std::string& pin : root->List("links")) {
      const std::string text = Shell("bpftool link show pinned " + root->path() + "/links/" + pin).output;
      if (text.find("prog") != std::string::npos) ids.push_back(text.substr(0, text.find(':')));
    }
    return ids;
  }
  // A filter at a place that is not ours.
  void AddForeignFilter(const std::string& device, kernel::Direction direction) {
    if (!theirs) {
      auto loaded = load::Execute(PlanOf({{.file = "foreign", .name = "foreign"}}), {}, {});
      ASSERT_OK(loaded);
      theirs = std::make_unique<load::Loaded>(*std::move(loaded));
    }
    const kernel::ClsactSlot place{.ifindex = lab->host.IfIndex(device), .direction = direction,
                                   .priority = 5, .handle = 7};
    ASSERT_OK(kernel::AttachClsact(place, theirs->ProgramFd("foreign", "foreign"), false));
  }

  std::optional<PinRoot> root;
  std::optional<Lab> lab;
  std::optional<NetnsScope> scope;
  std::string directory;
  std::unique_ptr<load::Loaded> theirs;
};

TEST_P(UninstallTest, RestoresANodeWithForeignFiltersAfterTheAgentWasKilled) {
  lab->host.MustExec("tc qdisc add dev h0 clsact && tc qdisc add dev h1 root pfifo limit 7");
  AddForeignFilter("h0", kernel::Direction::kIngress);
  const std::string before = Looks();
  ASSERT_THAT(before, HasSubstr("pref 5"));
  RunAndKill();
  const std::string running = Looks();
  EXPECT_NE(running, before);
  const CommandResult dry = Uninstall("--dry-run");
  EXPECT_EQ(dry.exit_code, 0) << dry.output;
  EXPECT_EQ(Looks(), running) << "a dry run changes nothing";
  EXPECT_THAT(dry.output, AllOf(HasSubstr("would remove"), HasSubstr("from-pod of h0"),
                                HasSubstr("xdp of h0"), HasSubstr("unfinished generation"),
                                HasSubstr(root->path() + "/maps/")));
  EXPECT_EQ(dry.output.find("clsact qdisc of h0"), std::string::npos) << "theirs";
  EXPECT_EQ(dry.output.find("clsact qdisc of h1") != std::string::npos, !GetParam());
  const std::vector<std::string> links = LinkIds();
  EXPECT_EQ(links.size(), GetParam() ? 4u : 1u);
  const CommandResult gone = Uninstall();
  EXPECT_EQ(gone.exit_code, 0) << gone.output;
  EXPECT_EQ(Looks(), before);
  for (const std::string& id : links) {
    EXPECT_NE(Shell("bpftool link show id " + id).exit_code, 0) << "link " << id << " lives on";
  }
  const CommandResult again = Uninstall();
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.output, "nothing to remove\n");
  EXPECT_EQ(Looks(), before);
}

TEST_P(UninstallTest, LeavesAQdiscInWhichSomeoneElseMovedIn) {
  RunAndKill();
  if (GetParam()) lab->host.MustExec("tc qdisc add dev h1 clsact");
  AddForeignFilter("h1", kernel::Direction::kEgress);
  EXPECT_EQ(Uninstall().exit_code, 0);
  const std::string after = Looks();
  EXPECT_THAT(after, AllOf(HasSubstr("qdisc clsact ffff: dev h1"), HasSubstr("pref 5")));
  EXPECT_EQ(after.find("qdisc clsact ffff: dev h0"), std::string::npos);
  EXPECT_EQ(after.find("pref 176"), std::string::npos);
}

// TCX needs none.
class QdiscUninstallTest : public UninstallTest {};

TEST_P(QdiscUninstallTest, TakesTheQdiscOfAnAgentThatWasKilledAfterItsFilter) {
  const std::string before = Looks();
  RunAndKill();
  // What a Detach does first: the filter and its mark.
  lab->host.MustExec("tc filter del dev h1 ingress pref 176");
  std::filesystem::remove(root->path() + "/links/from_pod-" +
                          std::to_string(lab->host.IfIndex("h1")));
  EXPECT_EQ(Uninstall().exit_code, 0);
  EXPECT_EQ(Looks(), before);
}

TEST_P(UninstallTest, TakesLinksOfDevicesInAnotherNamespaceAndOfDevicesThatAreGone) {
  RunAndKill();
  lab->host.MustExec("ip link del h1");
  const CommandResult gone = Uninstall();
  EXPECT_EQ(gone.exit_code, 0) << gone.output;
  EXPECT_FALSE(std::filesystem::exists(root->path()));
}

TEST_P(UninstallTest, LeavesAndNamesWhatIsNotOurs) {
  RunAndKill();
  const std::string mine = root->path() + "/mine";
  ASSERT_OK(kernel::MakePinDir(mine));
  const CommandResult gone = Uninstall();
  EXPECT_EQ(gone.exit_code, 0) << gone.output;
  EXPECT_THAT(gone.output, HasSubstr("left " + mine + ": not ours"));
  EXPECT_EQ(root->List(""), std::vector<std::string>{"mine"});
}

TEST_P(UninstallTest, RefusesWhileAnAgentHoldsThePinsAndNamesIt) {
  RunAndKill();
  const std::string running = Looks();
  auto lock = kernel::LockPinDir(root->path());
  ASSERT_OK(lock);
  const CommandResult refused = Uninstall();
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("live agent (pid " + std::to_string(getpid()) + ")"),
                                    HasSubstr("stop it"), HasSubstr(root->path())));
  EXPECT_EQ(Uninstall("--dry-run").exit_code, 1);
  EXPECT_EQ(Looks(), running);
}

TEST_P(UninstallTest, TellsWhoMayNotWhatIsNeeded) {
  RunAndKill();
  const std::string running = Looks();
  const CommandResult refused = lab->host.Exec(
      std::string("setpriv --reuid=65534 --regid=65534 --clear-groups " BONSAI_BIN_DIR
                  "/agentctl uninstall --bpf-root ") + root->path() + " --socket /tmp/none.sock");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("agentctl: uninstalling: "), HasSubstr("become root")));
  EXPECT_EQ(std::count(refused.output.begin(), refused.output.end(), '\n'), 1);
  EXPECT_EQ(Looks(), running);
}

TEST_P(UninstallTest, NeverRemovesFilesThatAreNoPins) {
  const std::string folder = directory + "/project";
  std::filesystem::create_directories(folder + "/maps");
  std::ofstream(folder + "/maps/mine") << "precious";
  std::ofstream(directory + "/file.sock") << "no socket";
  const auto run = [&](const std::string& flags) {
    return lab->host.Exec(std::string(BONSAI_BIN_DIR "/agentctl uninstall ") + flags);
  };
  const CommandResult refused = run("--bpf-root " + folder + " --socket " + directory + "/a.sock");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, HasSubstr("BPF file system"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/maps/mine"));
  const CommandResult none = run("--bpf-root " + root->path() + " --socket " + directory + "/file.sock");
  EXPECT_EQ(none.exit_code, 0) << none.output;
  EXPECT_TRUE(std::filesystem::exists(directory + "/file.sock"));
  EXPECT_EQ(run("--bpf-root " + root->path() + " --socket ../x").exit_code, 2);
}

INSTANTIATE_TEST_SUITE_P(Mechanism, QdiscUninstallTest, ::testing::Values(false),
                         [](const auto&) { return "Clsact"; });
INSTANTIATE_TEST_SUITE_P(Mechanism, UninstallTest, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "Tcx" : "Clsact"; });

}  // namespace
}  // namespace bonsai::testing
