// SPDX-License-Identifier: Apache-2.0
// Settings to kernel with the shipped objects: what the plan says is what the kernel has.
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "agent/base/status.h"
#include "agent/kernel/features.h"
#include "agent/object/object_spec.h"
#include "agent/settings/settings.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

const settings::RawSettings kOnlyIpv4 = {
    {"enable-ipv6", "false"}, {"enable-conntrack", "false"}, {"enable-datapath-metrics", "false"}};
const settings::RawSettings kEverything = {
    {"enable-prefilter", "true"}, {"enable-policy", "true"}, {"enable-load-balancer", "true"},
    {"enable-flow-events", "true"}, {"ct-entries", "5000"}};

struct Row {
  const char* name;
  settings::RawSettings raw;
};

std::vector<Row> Rows() {
  auto with = [](settings::RawSettings base, const settings::RawSettings& more) {
    for (const auto& [key, value] : more) base[key] = value;
    return base;
  };
  return {{"only_ipv4", kOnlyIpv4},
          {"defaults", {}},
          {"metrics", with(kOnlyIpv4, {{"enable-datapath-metrics", "true"}})},
          {"prefilter", with(kOnlyIpv4, {{"enable-prefilter", "true"}})},
          {"conntrack", with(kOnlyIpv4, {{"enable-conntrack", "true"}})},
          {"policy", {{"enable-policy", "true"}}},
          {"load_balancer", {{"enable-load-balancer", "true"}}},
          {"events", {{"enable-flow-events", "true"}}},
          {"everything", kEverything}};
}

class Pipeline {
 public:
  Pipeline() {
    for (const char* name : {"xdp", "from_pod", "to_pod", "from_netdev", "life"}) {
      auto spec = object::Read(fmt::format("{}/{}.bpf.o", BONSAI_BPF_DIR, name));
      EXPECT_TRUE(spec.ok()) << spec.status();
      specs_.push_back(*std::move(spec));
    }
    auto specs = object::SettingSpecs(specs_);
    EXPECT_TRUE(specs.ok()) << specs.status();
    std::vector<settings::SettingSpec> all = settings::AgentSettings();
    all.insert(all.end(), specs->begin(), specs->end());
    auto schema = settings::Schema::Make(all);
    EXPECT_TRUE(schema.ok()) << schema.status();
    schema_ = *schema;
  }

  plan::LoadPlan Plan(const settings::RawSettings& raw) const {
    auto settings = settings::Parse(schema_, raw);
    EXPECT_TRUE(settings.ok()) << settings.status();
    std::vector<plan::AnalyzedObject> objects;
    for (const object::ObjectSpec& spec : specs_) {
      auto constants = constants::Resolve(*settings, {{"kernel_hz", 250}}, spec);
      EXPECT_TRUE(constants.ok()) << constants.status();
      auto liveness = reachability::Analyze(spec, *constants);
      EXPECT_TRUE(liveness.ok()) << liveness.status();
      reachability::Explain(spec, *constants, *liveness);
      objects.push_back({&spec, *constants, *liveness});
    }
    plan::CostFacts facts{.possible_cpus = *kernel::PossibleCpus(),
                          .page_size = static_cast<uint32_t>(sysconf(_SC_PAGESIZE)),
                          .costs = kernel::MeasureMapCosts().value_or(kernel::MapCosts())};
    auto plan = plan::Make(objects, *settings, facts);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *plan;
  }

 private:
  std::vector<object::ObjectSpec> specs_;
  settings::Schema schema_;
};

std::vector<std::string> Features(const load::Loaded& loaded, const plan::LoadPlan& plan) {
  std::set<std::string> features;
  for (const auto& [name, map] : loaded.maps()) {
    const plan::MapPlan* planned = plan.FindMap(name);
    if (planned->data_section.empty() && !planned->is_tail_array) features.insert(planned->feature);
  }
  return {features.begin(), features.end()};
}

TEST(Pipeline, PlanEqualsKernelForEveryRowOfSettings) {
  REQUIRE_ROOT();
  Pipeline pipeline;
  bool exact = kernel::MeasureMapCosts().ok();
  for (const Row& row : Rows()) {
    SCOPED_TRACE(row.name);
    plan::LoadPlan plan = pipeline.Plan(row.raw);
    auto loaded = load::Execute(plan, {}, {.memory_measurable = exact});
    ASSERT_OK(loaded);
    EXPECT_TRUE(loaded->retries().empty()) << load::ToString(loaded->retries()[0]);
    for (const plan::MapPlan& map : plan.maps) {
      SCOPED_TRACE(map.name);
      ASSERT_EQ(loaded->maps().contains(map.name), map.create) << map.reason;
      EXPECT_FALSE(map.reason.empty());
      if (!map.create || !exact) continue;
      uint64_t measured = loaded->maps().at(map.name).bytes;
      EXPECT_NEAR(map.bytes, measured, measured / 100.0);
    }
    for (const plan::ProgramPlan& program : plan.programs) {
      EXPECT_EQ(loaded->ProgramFd(program.object, program.name) >= 0, program.load)
          << program.name << ": " << program.reason;
    }
    // No program holds a map that the plan does not have: the kernel's own list.
    std::set<uint32_t> ids;
    for (const auto& [name, map] : loaded->maps()) ids.insert(map.map.info().id);
    for (const auto& [name, program] : loaded->programs()) {
      for (uint32_t id : program.info.map_ids) EXPECT_TRUE(ids.contains(id)) << name << " " << id;
    }
  }
}

TEST(Pipeline, CreatesNoMapWithAllFeaturesOff) {
  REQUIRE_ROOT();
  Pipeline pipeline;
  plan::LoadPlan plan = pipeline.Plan(kOnlyIpv4);
  for (const plan::MapPlan& map : plan.maps) {
    EXPECT_TRUE(!map.create || !map.data_section.empty()) << map.name << ": " << map.reason;
  }
  for (const plan::ObjectPlan& object : plan.objects) {
    EXPECT_EQ(object.needed, object.reason.empty()) << object.name << ": " << object.reason;
  }
  auto loaded = load::Execute(plan, {}, {});
  ASSERT_OK(loaded);
  for (const auto& [name, map] : loaded->maps()) {
    EXPECT_FALSE(plan.FindMap(name)->data_section.empty()) << name;
  }
}

TEST(Pipeline, BringsAFeaturesMapsWithTheFeature) {
  REQUIRE_ROOT();
  Pipeline pipeline;
  for (const auto& [setting, feature] : std::map<std::string, std::string>{
           {"enable-prefilter", "prefilter"}, {"enable-conntrack", "conntrack"},
           {"enable-datapath-metrics", "datapath-metrics"}}) {
    settings::RawSettings raw = kOnlyIpv4;
    raw[setting] = "true";
    plan::LoadPlan plan = pipeline.Plan(raw);
    auto loaded = load::Execute(plan, {}, {});
    ASSERT_OK(loaded);
    EXPECT_EQ(Features(*loaded, plan), std::vector<std::string>{feature});
  }
}

TEST(Pipeline, DoesNotAttachXdpForNothing) {
  REQUIRE_ROOT();
  Pipeline pipeline;
  plan::LoadPlan off = pipeline.Plan(kOnlyIpv4);
  auto xdp = std::find_if(off.objects.begin(), off.objects.end(),
                          [](const auto& object) { return object.name == "xdp"; });
  ASSERT_NE(xdp, off.objects.end());
  EXPECT_FALSE(xdp->needed);
  EXPECT_NE(xdp->reason.find("enable_prefilter = false"), std::string::npos) << xdp->reason;
  settings::RawSettings raw = kOnlyIpv4;
  raw["enable-prefilter"] = "true";
  plan::LoadPlan on = pipeline.Plan(raw);
  EXPECT_TRUE(on.objects[xdp - off.objects.begin()].needed);
}

TEST(Pipeline, SharesStateThroughEveryToggle) {
  REQUIRE_ROOT();
  Pipeline pipeline;
  PinRoot root;
  load::Loaded running;
  uint32_t ct4 = 0;
  for (const settings::RawSettings& raw :
       {settings::RawSettings{}, kEverything, settings::RawSettings{{"ct-entries", "5000"}},
        settings::RawSettings{{"ct-entries", "5000"}, {"enable-policy", "true"}}}) {
    plan::LoadPlan plan = pipeline.Plan(raw);
    auto next = load::Execute(plan, running.Shareable(), {.root = root.path()});
    ASSERT_OK(next);
    ASSERT_OK(next->Commit());
    bool resized = raw.contains("ct-entries") && running.FindMap("ct4") != nullptr &&
                   running.FindMap("ct4")->info().max_entries != 5000;
    EXPECT_EQ(next->maps().at("ct4").reused, ct4 != 0 && !resized);
    ct4 = next->FindMap("ct4")->info().id;
    running = *std::move(next);
    // Pins are those maps, and no others.
    std::vector<std::string> pinned;
    for (const auto& [name, map] : running.maps()) {
      if (plan.FindMap(name)->data_section.empty()) pinned.push_back(name);
    }
    EXPECT_EQ(root.List("maps"), pinned);
    EXPECT_EQ(root.List(""), (std::vector<std::string>{"layouts", "maps"}));
  }
}

}  // namespace
}  // namespace bonsai::testing
