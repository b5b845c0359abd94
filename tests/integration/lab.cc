// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/lab.h"

#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "agent/kernel/bpffs.h"
#include "agent/settings/settings.h"

namespace bonsai::testing {
namespace {

using object::ObjectSpec;
using object::RefKind;

// Functions that `function` reaches by calls, its own or a helper's.
void Reach(const ObjectSpec& spec, uint32_t function, std::set<uint32_t>& seen) {
  if (!seen.insert(function).second) return;
  for (const object::Ref& ref : spec.functions[function].refs) {
    const bool called = ref.kind == RefKind::kCall || ref.kind == RefKind::kFunctionAddress;
    if (called) Reach(spec, ref.index, seen);
  }
}

reachability::Liveness LivenessOf(const ObjectSpec& spec, const ObjectChoice& choice) {
  reachability::Liveness liveness;
  liveness.maps.resize(spec.maps.size());
  liveness.data_sections.resize(spec.data_sections.size(), true);
  liveness.map_reasons.resize(spec.maps.size(), "the test says so");
  for (const object::Function& function : spec.functions) {
    liveness.functions.push_back({true, std::vector<bool>(function.insns.size(), true)});
    liveness.total_insns += static_cast<uint32_t>(function.insns.size());
  }
  liveness.live_insns = liveness.total_insns;
  for (const object::Program& program : spec.programs) {
    reachability::ProgramLiveness facts;
    facts.live = !choice.dead_programs.contains(program.name);
    Reach(spec, program.function, facts.functions);
    for (uint32_t f : facts.functions) {
      for (const object::Ref& ref : spec.functions[f].refs) {
        if (!facts.live || ref.kind != RefKind::kMap) continue;
        if (choice.dead_maps.contains(spec.maps[ref.index].name)) continue;
        facts.maps.insert(ref.index);
        liveness.maps[ref.index] = true;
      }
    }
    liveness.programs.push_back(facts);
    liveness.program_reasons.push_back(facts.live ? "" : "the test says so");
  }
  return liveness;
}

}  // namespace

PinRoot::PinRoot() {
  EXPECT_TRUE(kernel::EnsureBpffs().ok());
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = fmt::format("{}_{}-{}", test->test_suite_name(), test->name(), getpid());
  std::replace(name.begin(), name.end(), '/', '_');  // of parameterised tests
  path_ = "/sys/fs/bpf/" + name;
  EXPECT_TRUE(kernel::MakePinDir(path_).ok()) << path_;
}

PinRoot::~PinRoot() {
  EXPECT_TRUE(attach::RemoveAll(path_).ok());
  EXPECT_TRUE(load::RemovePins(path_).ok());
  EXPECT_TRUE(kernel::RemovePinDir(path_).ok());
}

std::vector<std::string> PinRoot::List(const std::string& folder) const {
  return kernel::ListPins(path_ + "/" + folder).value_or(std::vector<std::string>{"error"});
}

std::map<std::string, uint32_t> PinRoot::Contents() const {
  std::map<std::string, uint32_t> contents;
  for (const std::string& folder : List("")) {
    for (const std::string& name : List(folder)) {
      std::string path = folder + "/" + name;
      uint32_t id = 0;
      if (auto map = kernel::BpfMap::OpenPinned(path_ + "/" + path); map.ok()) {
        id = map->info().id;
      } else if (auto link = kernel::BpfLink::OpenPinned(path_ + "/" + path); link.ok()) {
        id = link->Info()->program_id;
      }
      contents[path] = id;
    }
  }
  return contents;
}

Lab::Lab() {
  for (int n : {0, 1}) {
    host.MustExec(
        fmt::format("ip link add h{0} type veth peer name p{0} netns {1}", n, pod.name()));
    host.MustExec(fmt::format("ip addr add 10.77.{0}.1/24 dev h{0} && ip link set h{0} up", n));
    pod.MustExec(fmt::format("ip addr add 10.77.{0}.2/24 dev p{0} && ip link set p{0} up", n));
  }
}

attach::Target Lab::Device(const std::string& name, attach::Hook hook) const {
  return {name, host.IfIndex(name), hook};
}

std::string ObjectPath(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  return fmt::format("{}/{}.bpf.o", BONSAI_TEST_BPF_DIR, name);
}

plan::LoadPlan PlanOf(const std::vector<ObjectChoice>& choices,
                      const std::map<std::string, uint32_t>& max_entries) {
  std::vector<std::unique_ptr<ObjectSpec>> specs;
  std::vector<plan::AnalyzedObject> analyzed;
  for (const ObjectChoice& choice : choices) {
    auto spec = object::Read(ObjectPath(choice.file));
    EXPECT_TRUE(spec.ok()) << spec.status();
    specs.push_back(std::make_unique<ObjectSpec>(*std::move(spec)));
    specs.back()->name = choice.name;
    for (object::Map& map : specs.back()->maps) {
      if (max_entries.contains(map.name)) map.max_entries = max_entries.at(map.name);
    }
    constants::ConstantSet constants = constants::Defaults(*specs.back());
    for (const auto& [name, value] : choice.constants) {
      EXPECT_TRUE(constants::Override(*specs.back(), name, value, constants).ok()) << name;
    }
    auto liveness = choice.analyzed ? reachability::Analyze(*specs.back(), constants)
                                    : LivenessOf(*specs.back(), choice);
    EXPECT_TRUE(liveness.ok()) << liveness.status();
    if (choice.analyzed) reachability::Explain(*specs.back(), constants, *liveness);
    analyzed.push_back({specs.back().get(), constants, *liveness});
  }
  // Maps may be sized by a setting that is a constant, too.
  std::vector<settings::SettingSpec> known = settings::AgentSettings();
  std::vector<ObjectSpec> objects;
  for (const auto& spec : specs) objects.push_back(*spec);
  auto own = object::SettingSpecs(objects);
  EXPECT_TRUE(own.ok()) << own.status();
  if (own.ok()) known.insert(known.end(), own->begin(), own->end());
  auto schema = settings::Schema::Make(known);
  auto settings = settings::Parse(*schema, {});
  plan::CostFacts facts{.possible_cpus = *kernel::PossibleCpus(),
                        .page_size = static_cast<uint32_t>(sysconf(_SC_PAGESIZE)),
                        .costs = kernel::MeasureMapCosts().value_or(kernel::MapCosts())};
  auto plan = plan::Make(analyzed, *settings, facts);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : plan::LoadPlan();
}

uint64_t Counter(const load::Loaded& loaded, uint32_t slot, const std::string& map) {
  uint64_t value = 0;
  const kernel::BpfMap* counters = loaded.FindMap(map);
  EXPECT_NE(counters, nullptr) << map;
  if (counters == nullptr) return 0;
  EXPECT_TRUE(counters->Lookup(&slot, &value).ok());
  return value;
}

// Opening the map to see whether it is there would disturb what is looked at: a tail-call array
// whose last descriptor is closed twice while it is being emptied stays for ever (seen on 6.18).
bool MapExists(uint32_t id) {
  bpf_attr attr = {};
  attr.start_id = id - 1;
  return syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)) == 0 && attr.next_id == id;
}

bool MapIsGone(uint32_t id) {
  for (int i = 0; i < 40 && MapExists(id); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return !MapExists(id);
}

}  // namespace bonsai::testing
