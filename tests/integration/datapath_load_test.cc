// SPDX-License-Identifier: Apache-2.0
// The shipped objects through plan and load, whole: nothing pruned, every map and program.
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/status.h"
#include "agent/kernel/features.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

plan::LoadPlan WholePlan() {
  std::vector<ObjectChoice> objects;
  for (const char* name : {"xdp", "from_pod", "to_pod", "from_netdev", "life"}) {
    objects.push_back({.file = fmt::format("{}/{}.bpf.o", BONSAI_BPF_DIR, name), .name = name});
  }
  return PlanOf(objects);
}

TEST(DatapathLoad, CreatesEveryMapAtThePredictedCost) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = WholePlan();
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  bool exact = kernel::MeasureMapCosts().ok();
  for (const plan::MapPlan& map : plan.maps) {
    ASSERT_TRUE(loaded->maps().contains(map.name)) << map.name;
    uint64_t measured = loaded->maps().at(map.name).bytes;
    if (!exact) continue;
    EXPECT_NEAR(map.bytes, measured, measured / 100.0) << map.name;
  }
  EXPECT_EQ(loaded->programs().size(), plan.programs.size());
  EXPECT_EQ(attach::EntryPrograms(*loaded).size(), 4u);
}

TEST(DatapathLoad, FillsEverySlotThatIsDeclared) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = WholePlan();
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  size_t tails = 0;
  for (const plan::ProgramPlan& program : plan.programs) {
    if (!program.is_tail) continue;
    uint32_t id = 0;
    ASSERT_OK(loaded->FindMap(program.tail_map)->Lookup(&program.tail_slot, &id));
    EXPECT_EQ(id, loaded->programs().at(program.object + "/" + program.name).info.id);
    ++tails;
  }
  EXPECT_GT(tails, 0u);
}

// Drops all capabilities but those of the chart.
bool KeepOnly(std::initializer_list<int> capabilities) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  for (int capability : capabilities) {
    data[capability / 32].effective |= 1u << (capability % 32);
    data[capability / 32].permitted |= 1u << (capability % 32);
  }
  return syscall(SYS_capset, &header, data) == 0;
}

// In a process of its own: 0, or the number of the step that failed.
int ReloadTwice(const plan::LoadPlan& plan, const std::string& root,
                const std::vector<attach::Target>& targets, bool tcx) {
  if (!KeepOnly({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON})) return 1;
  auto features = kernel::Probe();
  if (!features.ok()) return 2;
  if (kernel::OpenProgramById(1).ok()) return 3;  // that would take CAP_SYS_ADMIN
  for (int round = 0; round < 2; ++round) {
    auto attached = attach::Attached::AdoptExisting({.root = root, .use_tcx = tcx});
    if (!attached.ok() || attached->attachments().size() != round * targets.size()) return 4;
    auto pinned = load::OpenPinnedMaps(root);
    if (!pinned.ok()) return 5;
    load::ExistingMaps existing;
    for (const auto& [name, map] : *pinned) existing[name] = &map;
    auto loaded = load::Execute(plan, existing, {.root = root});
    if (!loaded.ok()) {
      fprintf(stderr, "%s\n", base::Message(loaded.status()).c_str());
      return 6;
    }
    auto outcome = attached->Upsert(targets, attach::EntryPrograms(*loaded));
    if (!outcome.ok()) {
      fprintf(stderr, "%s\n", base::Message(outcome.status()).c_str());
      return 7;
    }
    if (!loaded->Commit().ok()) return 8;
  }
  return attach::RemoveAll(root).ok() && load::RemovePins(root).ok() ? 0 : 9;
}

TEST(DatapathLoad, NeedsOnlyTheChartsCapabilities) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = WholePlan();
  for (bool tcx : {true, false}) {
    if (tcx && !kernel::Probe()->tcx) continue;
    PinRoot root;
    Lab lab;
    NetnsScope scope(lab.host);
    std::vector<attach::Target> targets = {
        lab.Device("h0", HOOK_FROM_POD), lab.Device("h0", HOOK_TO_POD),
        lab.Device("h1", HOOK_FROM_NETDEV), lab.Device("h1", HOOK_XDP)};
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(ReloadTwice(plan, root.path(), targets, tcx));
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << "step of ReloadTwice that failed, tcx " << tcx;
  }
}

}  // namespace
}  // namespace bonsai::testing
