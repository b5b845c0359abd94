// SPDX-License-Identifier: Apache-2.0
// load/ on the kernel: what is pruned does not exist, what is shared keeps its contents, what fails
// leaves nothing, and what is no longer used leaves the kernel.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "agent/base/status.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

const ObjectChoice kPruned{.file = "generation",
                           .dead_maps = {"big"},
                           .dead_programs = {"tail_dead"}};
const ObjectChoice kFull{.file = "generation", .constants = {{"use_big", 1}}};

uint32_t Id(const load::Loaded& loaded, const std::string& map) {
  return loaded.FindMap(map)->info().id;
}

size_t OpenFds() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

TEST(Load, CreatesOnlyWhatIsLive) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = PlanOf({kPruned});
  EXPECT_FALSE(plan.FindMap("big")->create);
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  std::vector<std::string> maps, programs;
  for (const auto& [name, map] : loaded->maps()) maps.push_back(name);
  for (const auto& [name, program] : loaded->programs()) programs.push_back(name);
  EXPECT_EQ(maps, (std::vector<std::string>{"calls", "counters", "from_pod.rodata.config"}));
  EXPECT_EQ(programs, (std::vector<std::string>{"from_pod/entry", "from_pod/tail_count"}));
  EXPECT_TRUE(loaded->retries().empty());
  // Its programs hold no map but these, says the kernel.
  for (const auto& [name, program] : loaded->programs()) {
    for (uint32_t id : program.info.map_ids) {
      EXPECT_TRUE(id == Id(*loaded, "calls") || id == Id(*loaded, "counters") ||
                  id == Id(*loaded, "from_pod.rodata.config"))
          << id;
    }
    EXPECT_GT(program.info.xlated_bytes, 0u);
  }
}

TEST(Load, MeasuresWhatThePlanPredicts) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = PlanOf({kFull}, {{"big", 5000}});
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  for (const auto& [name, map] : loaded->maps()) {
    const plan::MapPlan* planned = plan.FindMap(name);
    ASSERT_NE(planned, nullptr) << name;
    EXPECT_TRUE(planned->create) << name;
    EXPECT_EQ(planned->max_entries, map.map.info().max_entries) << name;
    if (!absl::IsFailedPrecondition(kernel::MeasureMapCosts().status())) {
      EXPECT_NEAR(planned->bytes, map.bytes, map.bytes / 100.0) << name;
    }
  }
  EXPECT_EQ(loaded->maps().size(), 4u);
}

TEST(Load, FillsTailArraysWithTheLoadedPrograms) {
  REQUIRE_ROOT();
  auto loaded = load::Execute(PlanOf({kPruned}), {}, {});
  ASSERT_OK(loaded);
  std::vector<uint8_t> packet(64);
  auto run = kernel::RunProgram(loaded->ProgramFd("from_pod", "entry"), packet, {});
  ASSERT_OK(run);
  EXPECT_EQ(static_cast<int32_t>(run->retval), -1);
  EXPECT_EQ(Counter(*loaded, 0), 1u);
  EXPECT_EQ(Counter(*loaded, 3), 1u) << "the tail call was missed";
  uint32_t slot = 1, program = 0;
  EXPECT_TRUE(absl::IsNotFound(loaded->FindMap("calls")->Lookup(&slot, &program)));
}

TEST(Load, AppliesConstants) {
  REQUIRE_ROOT();
  ObjectChoice choice = kPruned;
  choice.constants = {{"mark", 2}, {"use_tail", 0}};
  auto loaded = load::Execute(PlanOf({choice}), {}, {});
  ASSERT_OK(loaded);
  std::vector<uint8_t> packet(64);
  ASSERT_OK(kernel::RunProgram(loaded->ProgramFd("from_pod", "entry"), packet, {}));
  EXPECT_EQ(Counter(*loaded, 0), 0u);
  EXPECT_EQ(Counter(*loaded, 2), 1u);
  EXPECT_EQ(Counter(*loaded, 3), 0u);
}

TEST(Load, SharesMapsOfOneNameBetweenObjects) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = PlanOf({{.file = "generation",
                                 .constants = {{"use_tail", 0}},
                                 .dead_maps = {"big", "calls"},
                                 .dead_programs = {"tail_dead", "tail_count"}},
                                {.file = "pass", .name = "xdp"}});
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->maps().size(), 3u);
  // Two objects with one map.
  plan = PlanOf({{.file = "pass", .name = "xdp"}, {.file = "pass", .name = "xdp_too"}});
  loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->maps().size(), 1u);
  EXPECT_EQ(loaded->programs().at("xdp/pass").info.map_ids,
            loaded->programs().at("xdp_too/pass").info.map_ids);
}

TEST(Load, KeepsContentsAcrossGenerations) {
  REQUIRE_ROOT();
  PinRoot root;
  auto first = load::Execute(PlanOf({kPruned}), {}, {.root = root.path()});
  ASSERT_OK(first);
  ASSERT_OK(first->Commit());
  uint32_t slot = 1;
  uint64_t value = 4711;
  ASSERT_OK(first->FindMap("counters")->Update(&slot, &value));
  uint32_t old_calls = Id(*first, "calls");

  auto second = load::Execute(PlanOf({kFull}), first->Shareable(), {.root = root.path()});
  ASSERT_OK(second);
  EXPECT_EQ(Id(*second, "counters"), Id(*first, "counters"));
  EXPECT_TRUE(second->maps().at("counters").reused);
  EXPECT_NE(Id(*second, "calls"), old_calls) << "a tail-call array in use must not be changed";
  ASSERT_OK(second->Commit());
  *first = *std::move(second);
  EXPECT_EQ(Counter(*first, 1), 4711u);
  EXPECT_TRUE(MapIsGone(old_calls));

  // The same from the pins alone, as a restarted agent does it.
  auto pinned = load::OpenPinnedMaps(root.path());
  ASSERT_OK(pinned);
  load::ExistingMaps existing;
  for (const auto& [name, map] : *pinned) existing[name] = &map;
  auto third = load::Execute(PlanOf({kPruned}), existing, {.root = root.path()});
  ASSERT_OK(third);
  EXPECT_EQ(Counter(*third, 1), 4711u);
}

TEST(Load, MakesAMapAnewWhenItsSizeChanges) {
  REQUIRE_ROOT();
  PinRoot root;
  auto first = load::Execute(PlanOf({kFull}), {}, {.root = root.path()});
  ASSERT_OK(first);
  ASSERT_OK(first->Commit());
  uint32_t old_big = Id(*first, "big");
  auto second = load::Execute(PlanOf({kFull}, {{"big", 200}}), first->Shareable(),
                              {.root = root.path()});
  ASSERT_OK(second);
  EXPECT_NE(Id(*second, "big"), old_big);
  EXPECT_TRUE(second->maps().at("big").replaces);
  EXPECT_EQ(second->FindMap("big")->info().max_entries, 200u);
  ASSERT_OK(second->Commit());
  *first = *std::move(second);
  EXPECT_EQ(root.Contents()["maps/big"], Id(*first, "big"));
  EXPECT_TRUE(MapIsGone(old_big));
}

TEST(Load, GivesPrunedMemoryBackToTheKernel) {
  REQUIRE_ROOT();
  PinRoot root;
  auto first = load::Execute(PlanOf({kFull}), {}, {.root = root.path()});
  ASSERT_OK(first);
  ASSERT_OK(first->Commit());
  EXPECT_EQ(root.List("maps"), (std::vector<std::string>{"big", "calls", "counters"}));
  uint32_t big = Id(*first, "big"), dead = first->programs().at("from_pod/tail_dead").info.id;
  auto second = load::Execute(PlanOf({kPruned}), first->Shareable(), {.root = root.path()});
  ASSERT_OK(second);
  ASSERT_OK(second->Commit());
  EXPECT_EQ(root.List("maps"), (std::vector<std::string>{"calls", "counters"}));
  EXPECT_TRUE(MapExists(big)) << "still held by first";
  *first = *std::move(second);
  EXPECT_TRUE(MapIsGone(big));
  EXPECT_TRUE(absl::IsNotFound(kernel::OpenProgramById(dead).status()));
}

TEST(Load, LeavesNothingBehindWhenTheVerifierRefuses) {
  REQUIRE_ROOT();
  PinRoot root;
  auto first = load::Execute(PlanOf({kPruned}), {}, {.root = root.path()});
  ASSERT_OK(first);
  ASSERT_OK(first->Commit());
  auto before = root.Contents();
  size_t fds = OpenFds();
  auto second = load::Execute(PlanOf({kFull, {.file = "refused", .name = "to_pod"}}),
                              first->Shareable(), {.root = root.path()});
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  std::string message = base::Message(second.status());
  EXPECT_NE(message.find("object to_pod"), std::string::npos) << message;
  EXPECT_NE(message.find("program unchecked"), std::string::npos) << message;
  EXPECT_NE(message.find("map_value_or_null"), std::string::npos) << message;
  EXPECT_NE(base::VerifierLog(second.status()).find("R0 invalid mem access"), std::string::npos);
  EXPECT_EQ(root.Contents(), before);
  EXPECT_EQ(OpenFds(), fds);
}

TEST(Load, SaysWhatIsWrongWithTheFile) {
  REQUIRE_ROOT();
  plan::LoadPlan plan = PlanOf({kPruned});
  plan.objects[0].path = "/nonexistent/from_pod.bpf.o";
  auto missing = load::Execute(plan, {}, {});
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
  EXPECT_NE(base::Message(missing.status()).find("/nonexistent/from_pod.bpf.o"),
            std::string::npos);

  std::string whole = ObjectPath("generation");
  std::string cut = (std::filesystem::temp_directory_path() /
                     fmt::format("bonsai-cut-{}.bpf.o", getpid())).string();
  for (uintmax_t size : {uintmax_t{0}, uintmax_t{40}, std::filesystem::file_size(whole) / 2,
                         std::filesystem::file_size(whole) - 1}) {
    std::filesystem::copy_file(whole, cut, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(cut, size);
    plan.objects[0].path = cut;
    auto truncated = load::Execute(plan, {}, {});
    EXPECT_TRUE(absl::IsInvalidArgument(truncated.status())) << size << " " << truncated.status();
    EXPECT_NE(base::Message(truncated.status()).find(cut), std::string::npos);
  }
  std::filesystem::remove(cut);
}

TEST(Load, NamesTheMapThatTheKernelRefuses) {
  REQUIRE_ROOT();
  auto loaded = load::Execute(PlanOf({kFull}, {{"big", 4000000000u}}), {}, {});
  ASSERT_FALSE(loaded.ok());
  std::string message = base::Message(loaded.status());
  EXPECT_NE(message.find("object from_pod"), std::string::npos) << message;
  EXPECT_NE(message.find("map big"), std::string::npos) << message;
}

TEST(Load, BringsBackAPrunedMapThatTheVerifierWants) {
  REQUIRE_ROOT();
  // A plan that is wrong on purpose: "big" is referenced by live code.
  ObjectChoice wrong = kFull;
  wrong.dead_maps = {"big"};
  auto loaded = load::Execute(PlanOf({wrong}, {{"big", 300}}), {}, {});
  ASSERT_OK(loaded);
  ASSERT_EQ(loaded->retries().size(), 1u);
  EXPECT_EQ(loaded->retries()[0].kind, load::Retry::Kind::kMap);
  EXPECT_EQ(loaded->retries()[0].name, "big");
  EXPECT_EQ(loaded->retries()[0].object, "from_pod");
  ASSERT_NE(loaded->FindMap("big"), nullptr);
  EXPECT_EQ(loaded->FindMap("big")->info().max_entries, 300u);
}

TEST(Load, DropsItsStagedPinsUnlessCommitted) {
  REQUIRE_ROOT();
  PinRoot root;
  {
    auto loaded = load::Execute(PlanOf({kPruned}), {}, {.root = root.path()});
    ASSERT_OK(loaded);
    EXPECT_EQ(root.List("next-0"), (std::vector<std::string>{"calls", "counters"}));
    EXPECT_EQ(root.List("maps"), (std::vector<std::string>{}));
  }
  EXPECT_EQ(root.List(""), (std::vector<std::string>{"layouts", "maps"}));
  EXPECT_EQ(root.List("layouts"), (std::vector<std::string>{}));
}

TEST(Load, SweepsHalfMadeGenerationsAtCommit) {
  REQUIRE_ROOT();
  PinRoot root;
  // What a killed agent leaves: a staged generation that nobody commits.
  auto killed = load::Execute(PlanOf({kFull}), {}, {.root = root.path()});
  ASSERT_OK(killed);
  auto loaded = load::Execute(PlanOf({kPruned}), {}, {.root = root.path()});
  ASSERT_OK(loaded);
  EXPECT_EQ(root.List(""), (std::vector<std::string>{"layouts", "maps", "next-0", "next-1"}));
  ASSERT_OK(loaded->Commit());
  EXPECT_EQ(root.List(""), (std::vector<std::string>{"layouts", "maps"}));
  EXPECT_EQ(root.Contents()["maps/calls"], Id(*loaded, "calls"));
  ASSERT_OK(loaded->Commit());  // again is fine
  EXPECT_EQ(root.Contents()["maps/counters"], Id(*loaded, "counters"));
}

TEST(Load, RefusesAPinRootThatIsNoBpffs) {
  REQUIRE_ROOT();
  auto loaded = load::Execute(PlanOf({kPruned}), {}, {.root = "/tmp/bonsai-no-bpffs"});
  EXPECT_TRUE(absl::IsFailedPrecondition(loaded.status())) << loaded.status();
  EXPECT_FALSE(std::filesystem::exists("/tmp/bonsai-no-bpffs"));
}

TEST(RemovePins, LeavesNoTrace) {
  REQUIRE_ROOT();
  PinRoot root;
  auto loaded = load::Execute(PlanOf({kPruned}), {}, {.root = root.path()});
  ASSERT_OK(loaded);
  ASSERT_OK(loaded->Commit());
  ASSERT_OK(load::RemovePins(root.path()));
  EXPECT_FALSE(std::filesystem::exists(root.path()));
  ASSERT_OK(load::RemovePins(root.path()));
}

}  // namespace
}  // namespace bonsai::testing
