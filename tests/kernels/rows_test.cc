// SPDX-License-Identifier: Apache-2.0
// Every row of settings, planned and loaded: nothing that was cut is missed by this kernel's
// verifier. Runs inside a booted kernel, and on any other.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "agent/base/status.h"
#include "agent/constants/constant_set.h"
#include "agent/kernel/features.h"
#include "agent/load/loaded.h"
#include "agent/object/object_spec.h"
#include "agent/plan/load_plan.h"
#include "agent/reachability/liveness.h"
#include "agent/settings/settings.h"

namespace bonsai::testing {
namespace {

using settings::RawSettings;

constexpr size_t kShownLogBytes = 4000;  // the end, where the reason is

constexpr char kMoving[] = "ct-moving";

class Inventory {
 public:
  Inventory() {
    for (const char* name : {"xdp", "from_pod", "to_pod", "from_netdev", "life"}) {
      auto spec = object::Read(fmt::format("{}/{}.bpf.o", BONSAI_BPF_DIR, name));
      EXPECT_TRUE(spec.ok()) << spec.status();
      if (spec.ok()) objects_.push_back(*std::move(spec));
    }
    auto constants = object::SettingSpecs(objects_);
    EXPECT_TRUE(constants.ok()) << constants.status();
    std::vector<settings::SettingSpec> all = settings::AgentSettings();
    all.insert(all.end(), constants->begin(), constants->end());
    auto schema = settings::Schema::Make(all);
    EXPECT_TRUE(schema.ok()) << schema.status();
    schema_ = *schema;
    for (const settings::SettingSpec& spec : *constants) {
      if (spec.kind == settings::Kind::kBool) toggles_.push_back(spec.key);
    }
  }

  // Name -> settings: defaults, all off, all on, and from each of these every toggle the other way,
  // with what it needs and without what needs it. `kMoving` among the settings: while conntrack moves.
  std::map<std::string, RawSettings> Rows() const {
    RawSettings off, on;
    for (const std::string& key : toggles_) {
      off[key] = "false";
      on[key] = "true";
    }
    std::map<std::string, RawSettings> rows;
    for (const auto& [name, base] :
         std::map<std::string, RawSettings>{{"defaults", {}}, {"off", off}, {"on", on}}) {
      rows[name] = base;
      for (const std::string& key : toggles_) {
        RawSettings row = base;
        Set(key, !IsOn(base, key), row);
        rows[name + " but " + key] = row;
      }
    }
    rows["defaults, moving"] = {{kMoving, "true"}};
    rows["on, moving"] = on;
    rows["on, moving"][kMoving] = "true";
    return rows;
  }

  plan::LoadPlan Plan(RawSettings raw) const {
    const bool moving = raw.erase(kMoving) > 0;
    for (const auto& [key, size] : small_) raw[key] = size;
    auto settings = settings::Parse(schema_, raw);
    EXPECT_TRUE(settings.ok()) << settings.status();
    std::vector<plan::AnalyzedObject> analyzed;
    for (const object::ObjectSpec& spec : objects_) {
      auto constants = constants::Resolve(*settings, {{"kernel_hz", 250}, {"ct_moving", moving}},
                                          spec);
      EXPECT_TRUE(constants.ok()) << constants.status();
      auto liveness = reachability::Analyze(spec, *constants);
      EXPECT_TRUE(liveness.ok()) << liveness.status();
      reachability::Explain(spec, *constants, *liveness);
      analyzed.push_back({&spec, *constants, *liveness});
    }
    auto plan = plan::Make(analyzed, *settings, {});
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *plan;
  }

  // Maps as small as they may be: what they hold is not looked at.
  void Shrink() {
    for (const object::ObjectSpec& spec : objects_) {
      for (const object::Map& map : spec.maps) {
        const settings::SettingSpec* sized = schema_.Find(map.sized_by);
        if (sized != nullptr) small_[map.sized_by] = std::to_string(std::max<int64_t>(sized->min, 1));
      }
    }
  }

 private:
  bool IsOn(const RawSettings& raw, const std::string& key) const {
    auto given = raw.find(key);
    if (given != raw.end()) return given->second == "true";
    return std::get<bool>(schema_.Find(key)->default_value);
  }

  void Set(const std::string& key, bool on, RawSettings& row) const {
    row[key] = on ? "true" : "false";
    for (const std::string& other : toggles_) {
      const auto& needs = schema_.Find(on ? key : other)->requires_keys;
      const std::string& needed = on ? other : key;
      if (std::find(needs.begin(), needs.end(), needed) == needs.end()) continue;
      if (IsOn(row, other) != on) Set(other, on, row);
    }
  }

  std::vector<object::ObjectSpec> objects_;
  settings::Schema schema_;
  std::vector<std::string> toggles_;
  std::map<std::string, std::string> small_;
};

void LoadRow(const std::string& name, const plan::LoadPlan& plan, bool measurable) {
  SCOPED_TRACE(name);
  auto loaded = load::Execute(plan, {}, {.memory_measurable = measurable});
  if (!loaded.ok()) {
    const std::string log = base::VerifierLog(loaded.status());
    ADD_FAILURE() << base::Message(loaded.status()) << "\n[...]"
                  << log.substr(log.size() - std::min<size_t>(log.size(), kShownLogBytes));
    return;
  }
  for (const load::Retry& retry : loaded->retries()) ADD_FAILURE() << load::ToString(retry);
  for (const plan::MapPlan& map : plan.maps) {
    EXPECT_EQ(loaded->maps().contains(map.name), map.create) << map.name;
  }
  for (const auto& [program, facts] : loaded->programs()) {
    EXPECT_GT(facts.info.verified_insns, 0u) << program;
    std::printf("VERIFIED %s: %s %u\n", name.c_str(), program.c_str(), facts.info.verified_insns);
  }
}

TEST(Rows, LoadAsPlannedWithoutARetry) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
  auto features = kernel::Probe();
  ASSERT_TRUE(features.ok()) << features.status();
  Inventory inventory;
  inventory.Shrink();
  const auto rows = inventory.Rows();
  EXPECT_GT(rows.size(), 30u);
  for (const auto& [name, raw] : rows) {
    LoadRow(name, inventory.Plan(raw), features->map_mem_usage);
    if (::testing::Test::HasFatalFailure()) return;
  }
  std::printf("ROWS %zu\n", rows.size());
}

}  // namespace
}  // namespace bonsai::testing
