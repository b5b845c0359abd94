// SPDX-License-Identifier: Apache-2.0
// The retry ladder as an operator sees it: the agent plans by the object it read at its start, and
// loads one whose code goes another way, as if a verifier saw what the engine does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "agent/constants/constant_set.h"
#include "agent/load/image.h"
#include "agent/object/elf_file.h"
#include "agent/object/object_spec.h"
#include "agent/reachability/liveness.h"
#include "tests/integration/lab.h"
#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;


constexpr char kMap[] = "events";

bool IsLive(const object::ObjectSpec& spec, const std::string& map) {
  const auto liveness = reachability::Analyze(spec, constants::Defaults(spec));
  if (!liveness.ok()) return false;
  for (size_t i = 0; i < spec.maps.size(); ++i) {
    if (spec.maps[i].name == map) return liveness->maps[i];
  }
  return false;
}

void Patch(const object::Function& function, uint32_t slot, const object::Insn& insn,
           load::Image& image) {
  const auto parsed = object::Image::Of(image);
  const auto elf = object::ElfFile::Parse("patched", *parsed);
  ASSERT_TRUE(elf.ok()) << elf.status();
  const object::ElfSection* section = elf->Find(function.section);
  ASSERT_NE(section, nullptr);
  const size_t at = section->offset + (function.section_slot + slot) * sizeof(insn);
  std::memcpy(image.data() + at, &insn, sizeof(insn));
}

// Makes a branch that goes one way go the other.
void Divert(const object::ObjectSpec& spec, const reachability::DecidedBranch& branch,
            load::Image& image) {
  const object::Function& function = spec.functions[branch.function];
  object::Insn jump;
  jump.opcode = BPF_JMP | BPF_JA;
  jump.offset = static_cast<int16_t>(branch.taken ? 0 : function.insns[branch.slot].offset);
  Patch(function, branch.slot, jump, image);
}

// The object with one branch changed so that it uses a map that nothing uses by default.
load::Image Diverted(const std::string& path) {
  const auto whole = load::ReadImage("whole", path);
  const auto spec = object::Read(path);
  EXPECT_TRUE(whole.ok() && spec.ok()) << path;
  if (!whole.ok() || !spec.ok()) return {};
  EXPECT_FALSE(IsLive(*spec, kMap));
  const constants::ConstantSet constants = constants::Defaults(*spec);
  auto liveness = reachability::Analyze(*spec, constants);
  EXPECT_TRUE(liveness.ok()) << liveness.status();
  reachability::Explain(*spec, constants, *liveness);
  for (const reachability::DecidedBranch& branch : liveness->branches) {
    if (branch.constants != std::vector<std::string>{"enable_flow_events"}) continue;
    load::Image image = *whole;
    Divert(*spec, branch, image);
    const auto changed = object::ReadBytes(path, image);
    if (changed.ok() && IsLive(*changed, kMap)) return image;
  }
  ADD_FAILURE() << "no branch of " << path << " brings map " << kMap;
  return {};
}

// The object with an entry program that no verifier accepts, whatever is kept.
load::Image Refused(const std::string& path) {
  auto image = load::ReadImage("whole", path);
  const auto spec = object::Read(path);
  EXPECT_TRUE(image.ok() && spec.ok()) << path;
  if (!image.ok() || !spec.ok()) return {};
  object::Insn from_nowhere;
  from_nowhere.opcode = BPF_ALU64 | BPF_MOV | BPF_X;
  from_nowhere.src = BPF_REG_9;
  Patch(spec->functions[spec->FindProgram("from_pod")->function], 0, from_nowhere, *image);
  return *std::move(image);
}

void WriteFile(const std::filesystem::path& path, const load::Image& image) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
  ASSERT_TRUE(file.good()) << path;
}

class Retry : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_ROOT();
    cluster_ = std::make_unique<Cluster>();
    cluster_->may_retry = true;
    objects_ = cluster_->directory() / "bpf";
    std::filesystem::create_directory(objects_);
    for (const char* name : {"xdp", "from_pod", "to_pod", "from_netdev", "life"}) {
      const std::string file = std::string(name) + ".bpf.o";
      std::filesystem::copy_file(std::filesystem::path(BONSAI_BPF_DIR) / file, objects_ / file);
    }
    cluster_->SetConfig(
        {{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"}, {"ct-entries", "4096"}});
    cluster_->StartAgent({"--bpf-dir", objects_});
    ASSERT_TRUE(cluster_->WaitInSync()) << cluster_->AgentLog();
  }
  std::string Metrics() {
    return cluster_->node.Exec("curl -s http://" + cluster_->metrics_address() + "/metrics").output;
  }
  nlohmann::json Map(const std::string& name) {
    const nlohmann::json answer = cluster_->Ctl("maps");
    for (const auto& map : answer["maps"]) {
      if (map["name"] == name) return map;
    }
    return {};
  }
  std::unique_ptr<Cluster> cluster_;
  std::filesystem::path objects_;
};

TEST_F(Retry, IsCountedShownAndOverWithTheGeneration) {
  EchoServer tcp(cluster_->pod_b, Proto::kTcp, kServerPort, "b");
  EchoServer udp(cluster_->pod_b, Proto::kUdp, kServerPort, "b");
  SteadyTraffic traffic(cluster_->pod_a, kPodB4, kServerPort);
  EXPECT_THAT(Metrics(), HasSubstr("bonsai_load_retries_total 0"));
  EXPECT_EQ(cluster_->RawCtl("status").exit_code, 0);
  EXPECT_FALSE(cluster_->KernelMaps().contains(kMap));

  WriteFile(objects_ / "from_pod.bpf.o", Diverted(objects_ / "from_pod.bpf.o"));
  cluster_->ChangeConfig({{"ct-tcp-timeout", "1000"}});
  ASSERT_TRUE(cluster_->WaitProblem("reachability-retry")) << cluster_->AgentLog();
  EXPECT_TRUE(cluster_->WaitInSync()) << "the generation is in force all the same";
  const nlohmann::json status = cluster_->Ctl("status");
  EXPECT_THAT(status["problems"].dump(), HasSubstr("map events was kept"));
  EXPECT_EQ(status["datapath"]["load_retries"], "1");
  EXPECT_EQ(cluster_->RawCtl("status").exit_code, 3) << "degraded";
  EXPECT_THAT(Metrics(), HasSubstr("bonsai_load_retries_total 1"));
  EXPECT_TRUE(cluster_->KernelMaps().contains(kMap));
  EXPECT_THAT(Map(kMap)["reason"].dump(), HasSubstr("the verifier walked into it in from_pod"));
  EXPECT_NE(Map(kMap)["id"], 0);

  std::filesystem::copy_file(std::string(BONSAI_BPF_DIR) + "/from_pod.bpf.o",
                             objects_ / "from_pod.bpf.o",
                             std::filesystem::copy_options::overwrite_existing);
  cluster_->ChangeConfig({{"ct-tcp-timeout", "2000"}});
  ASSERT_TRUE(cluster_->WaitProblem("reachability-retry", false));
  EXPECT_TRUE(cluster_->WaitInSync());
  EXPECT_EQ(cluster_->RawCtl("status").exit_code, 0);
  EXPECT_THAT(Metrics(), HasSubstr("bonsai_load_retries_total 1")) << "a counter";
  EXPECT_FALSE(cluster_->KernelMaps().contains(kMap));
  EXPECT_EQ(traffic.lost(), 0u);
}

// What no step of the ladder helps against is refused, and the earlier generation serves on.
TEST_F(Retry, LeavesTheEarlierGenerationWhenTheLadderEnds) {
  EchoServer tcp(cluster_->pod_b, Proto::kTcp, kServerPort, "b");
  EchoServer udp(cluster_->pod_b, Proto::kUdp, kServerPort, "b");
  SteadyTraffic traffic(cluster_->pod_a, kPodB4, kServerPort);
  const std::set<unsigned> maps = cluster_->KernelMapIds(), programs = cluster_->KernelProgramIds();
  WriteFile(objects_ / "from_pod.bpf.o", Refused(objects_ / "from_pod.bpf.o"));
  cluster_->ChangeConfig({{"ct-tcp-timeout", "1000"}});
  ASSERT_TRUE(cluster_->WaitProblem("load")) << cluster_->AgentLog();
  EXPECT_THAT(cluster_->Ctl("status")["problems"].dump(),
              AllOf(HasSubstr("the verifier refused program from_pod"),
                    Not(HasSubstr("reachability-retry"))));
  // Where it failed and in whose words: in status, in the metrics and in the log.
  const nlohmann::json problem = cluster_->Ctl("status")["problems"][0];
  EXPECT_EQ(problem["step"], "load program");
  EXPECT_EQ(problem["object"], "from_pod/from_pod");
  EXPECT_THAT(problem["verifier"].dump(), HasSubstr("R9 !read_ok"));
  EXPECT_THAT(cluster_->RawCtl("status").output,
              AllOf(HasSubstr("step: load program; object: from_pod/from_pod"),
                    HasSubstr("verifier: R9 !read_ok")));
  EXPECT_THAT(Metrics(), HasSubstr("bonsai_change_failure_info{code=\"load\",step=\"load program\","
                                   "object=\"from_pod/from_pod\",verifier=\""));
  EXPECT_THAT(Metrics(), HasSubstr("R9 !read_ok\"} 1"));
  EXPECT_THAT(cluster_->AgentLog(), AllOf(HasSubstr("[step: load program; object: from_pod/from_pod]"),
                                          HasSubstr("  verifier: R9 !read_ok")));
  EXPECT_EQ(cluster_->KernelMapIds(), maps);
  EXPECT_EQ(cluster_->KernelProgramIds(), programs);
  EXPECT_EQ(traffic.lost(), 0u);
}

}  // namespace
}  // namespace bonsai::testing
