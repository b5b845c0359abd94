// SPDX-License-Identifier: Apache-2.0
// A change as it was planned against the change as it is: over many configurations, one after the
// other, what the plan said of maps, bytes, programs and live code is what the kernel then has.
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <set>

#include "agent/kernel/map_costs.h"
#include "agent/plan/change.h"
#include "tests/differential/oracle.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

using Names = std::set<std::string>;
using plan::ChangeKind;
using settings::RawSettings;

constexpr int kRandomRows = 25;

// Configurations in the order they are applied: neighbours differ in features, sizes or both.
std::vector<RawSettings> Rows(const settings::Schema& schema) {
  const RawSettings bare = {{"enable-ipv6", "false"}, {"enable-conntrack", "false"},
                            {"enable-datapath-metrics", "false"}};
  std::vector<RawSettings> rows = {
      bare,
      {},
      {{"enable-policy", "true"}},
      {{"enable-policy", "true"}, {"ct-entries", "5000"}, {"policy-entries", "300"}},
      {{"enable-load-balancer", "true"}, {"ct-entries", "5000"}, {"service-entries", "77"}},
      {{"enable-load-balancer", "true"}, {"enable-policy", "true"}, {"enable-prefilter", "true"},
       {"enable-flow-events", "true"}},
      {{"enable-flow-events", "true"}, {"events-bytes", "65536"}, {"ct-entries", "1025"}},
      {{"enable-ipv4", "false"}, {"enable-prefilter", "true"}},
      bare};
  std::mt19937 random(7);
  for (int row = 0; row < kRandomRows; ++row) {
    RawSettings raw;
    for (const auto& [key, spec] : schema.specs()) {
      if (spec.kind == settings::Kind::kBool) raw[key] = random() % 2 ? "true" : "false";
      if (!key.ends_with("-entries") || random() % 2) continue;
      raw[key] = std::to_string(spec.min + random() % 20000);
    }
    // What others need is on.
    for (const auto& [key, spec] : schema.specs()) {
      for (const std::string& needed : spec.requires_keys) {
        if (raw[key] == "true" && raw[needed] == "false") raw[needed] = "true";
      }
    }
    raw["enable-conntrack"] =
        raw["enable-policy"] == "true" || raw["enable-load-balancer"] == "true"
            ? "true" : raw["enable-conntrack"];
    rows.push_back(std::move(raw));
  }
  return rows;
}

// A configuration as it runs in the kernel.
struct Running {
  settings::Settings settings;
  plan::LoadPlan plan;
  load::Loaded loaded;

  plan::Before before() const {
    plan::Before before{.settings = &settings, .plan = &plan};
    for (const auto& [name, map] : loaded.maps()) {
      before.maps[name] = {.bytes = *map.map.MemoryBytes()};
    }
    return before;
  }
  Names maps() const {
    Names names;
    for (const auto& [name, map] : loaded.maps()) names.insert(name);
    return names;
  }
  Names programs() const {
    Names names;
    for (const auto& [name, program] : loaded.programs()) names.insert(name);
    return names;
  }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const auto& [name, map] : loaded.maps()) sum += *map.map.MemoryBytes();
    return sum;
  }
};

Names operator-(const Names& a, const Names& b) {
  Names left;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(left, left.end()));
  return left;
}

void ExpectNear(uint64_t predicted, uint64_t measured, const std::string& what) {
  const double off = static_cast<double>(predicted) - static_cast<double>(measured);
  EXPECT_LE(std::abs(off), static_cast<double>(measured) / 100)
      << what << ": " << predicted << " predicted, " << measured << " measured";
}

void ExpectMapsAsPlanned(const plan::Change& change, const Running& was, const Running& is) {
  Names added, removed;
  for (const plan::MapChange& map : change.maps) {
    if (map.kind == ChangeKind::kAdded) added.insert(map.name);
    if (map.kind == ChangeKind::kRemoved) removed.insert(map.name);
    if (map.kind != ChangeKind::kAdded) {
      ExpectNear(map.bytes_before, *was.loaded.FindMap(map.name)->MemoryBytes(), map.name);
    }
    if (map.kind == ChangeKind::kRemoved) continue;
    ASSERT_NE(is.loaded.FindMap(map.name), nullptr) << map.name;
    ExpectNear(map.bytes_after, *is.loaded.FindMap(map.name)->MemoryBytes(), map.name);
    EXPECT_EQ(map.entries_after, is.loaded.FindMap(map.name)->info().max_entries) << map.name;
  }
  EXPECT_EQ(added, is.maps() - was.maps());
  EXPECT_EQ(removed, was.maps() - is.maps());
  EXPECT_EQ(change.after.maps, is.maps().size());
  ExpectNear(change.after.map_bytes, is.bytes(), "all maps");
}

void ExpectProgramsAsPlanned(const plan::Change& change, const Running& was, const Running& is) {
  Names added, removed;
  for (const plan::ProgramChange& program : change.programs) {
    const std::string name = program.object + "/" + program.name;
    if (program.kind == ChangeKind::kAdded) added.insert(name);
    if (program.kind == ChangeKind::kRemoved) removed.insert(name);
  }
  EXPECT_EQ(added, is.programs() - was.programs());
  EXPECT_EQ(removed, was.programs() - is.programs());
  EXPECT_EQ(change.after.programs + change.after.tail_calls, is.programs().size());
}

class PlanChange : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_ROOT();
    if (!kernel::MeasureMapCosts().ok()) GTEST_SKIP() << "this kernel does not tell what maps take";
    auto inputs = plan::ReadInputs(BONSAI_BPF_DIR);
    ASSERT_OK(inputs);
    inputs_ = *std::move(inputs);
    ASSERT_TRUE(inputs_.costs.measured);
  }

  void Apply(const RawSettings& raw, const load::ExistingMaps& existing, Running& next) const {
    auto settings = settings::Parse(*inputs_.schema, raw);
    ASSERT_OK(settings);
    next.settings = *std::move(settings);
    auto plan = plan::MakeFor(inputs_, next.settings, plan::Reasons::kNone, nullptr);
    ASSERT_OK(plan);
    next.plan = *std::move(plan);
    auto loaded = load::Execute(next.plan, existing, {});
    ASSERT_OK(loaded);
    EXPECT_TRUE(loaded->retries().empty()) << load::ToString(loaded->retries()[0]);
    next.loaded = *std::move(loaded);
  }

  // Slots of this object that the kernel's verifier keeps in some program of the plan, each function
  // once. Those of which that cannot be told are in neither.
  uint64_t KeptSlots(const object::ObjectSpec& spec, const plan::ObjectPlan& object) const {
    differential::LoadOptions options;
    options.cut_programs.insert(object.skip_programs.begin(), object.skip_programs.end());
    for (const object::Map& map : spec.maps) {
      if (std::count(object.skip_maps.begin(), object.skip_maps.end(), map.name)) {
        options.cut_maps.insert(map.name);
      }
    }
    const auto kept = differential::LoadAndRead(spec, object.constants, options);
    EXPECT_TRUE(kept.ok()) << kept.status();
    if (!kept.ok()) return 0;
    std::set<std::pair<uint32_t, size_t>> slots;
    for (const auto& [name, program] : *kept) {
      EXPECT_TRUE(program.loaded) << name << ": " << differential::ReasonOf(program.log);
      for (const auto& [function, fates] : program.code) {
        for (size_t slot = 0; slot < fates.size(); ++slot) {
          if (fates[slot] == differential::Fate::kKept) slots.emplace(function, slot);
        }
      }
    }
    return slots.size();
  }

  plan::Inputs inputs_;
};

TEST_F(PlanChange, IsWhatTheKernelHasAfterwardsOverManyConfigurations) {
  Running was;
  int number = 0;
  for (const RawSettings& raw : Rows(*inputs_.schema)) {
    SCOPED_TRACE(::testing::Message() << "row " << number << ": " << ::testing::PrintToString(raw));
    const plan::Before before = number++ == 0 ? plan::Before() : was.before();
    const auto change = plan::PlanChange(inputs_, before, raw, nullptr);
    ASSERT_OK(change);
    ASSERT_TRUE(change->refusals.empty()) << change->refusals[0].message;
    Running is;
    ASSERT_NO_FATAL_FAILURE(Apply(raw, was.loaded.Shareable(), is));
    ASSERT_NO_FATAL_FAILURE(ExpectMapsAsPlanned(*change, was, is));
    ExpectProgramsAsPlanned(*change, was, is);
    EXPECT_EQ(plan::ClassOfChange(was.plan, is.plan), change->reload_class);
    was = std::move(is);
  }
}

TEST_F(PlanChange, LiveInstructionsAreThoseThatTheKernelKeeps) {
  uint64_t predicted = 0, measured = 0;
  const std::vector<RawSettings> rows = Rows(*inputs_.schema);
  for (size_t row = 0; row < rows.size(); row += 3) {
    SCOPED_TRACE(::testing::Message() << "row " << row << ": " << ::testing::PrintToString(rows[row]));
    const auto change = plan::PlanChange(inputs_, {}, rows[row], nullptr);
    ASSERT_OK(change);
    Running is;
    ASSERT_NO_FATAL_FAILURE(Apply(rows[row], {}, is));
    uint64_t kept = 0;
    for (size_t i = 0; i < is.plan.objects.size(); ++i) {
      if (is.plan.objects[i].needed) kept += KeptSlots((*inputs_.objects)[i], is.plan.objects[i]);
    }
    EXPECT_GE(change->after.live_insns, kept) << "nothing that the kernel keeps is called dead";
    ExpectNear(change->after.live_insns, kept, "live instructions");
    predicted += change->after.live_insns;
    measured += kept;
  }
  RecordProperty("predicted", std::to_string(predicted));
  RecordProperty("kept", std::to_string(measured));
  EXPECT_GT(measured, 10000u);
}

}  // namespace
}  // namespace bonsai::testing
