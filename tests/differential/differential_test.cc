// SPDX-License-Identifier: Apache-2.0
// The engine against the kernel's verifier: what the kernel kept, we called live; what it dropped,
// we had called dead; and what we cut loads without the part that was cut.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <sstream>

#include "tests/differential/compare.h"
#include "tests/differential/environment.h"

namespace bonsai::differential {
namespace {

using constants::ConstantSet;
using object::ObjectSpec;

constexpr const char* kDatapath[] = {"xdp", "from_pod", "to_pod", "from_netdev", "life"};

struct Totals {
  Counts counts;
  int loads = 0, settings = 0;
  std::map<std::string, int> refusals;
  std::vector<Difference> missed_slots;
};

void CompareOnce(const ObjectSpec& object, const ConstantSet& constants, Totals& totals) {
  const auto kept = LoadAndRead(object, constants);
  ASSERT_TRUE(kept.ok()) << Describe(constants) << kept.status();
  Comparison comparison;
  const absl::Status status = Compare(object, constants, *kept, comparison);
  ASSERT_TRUE(status.ok()) << status;
  totals.counts += comparison.counts;
  ++totals.loads;
  ++totals.settings;
  for (const std::string& refusal : comparison.refusals) ++totals.refusals[refusal];
  if (totals.missed_slots.empty()) totals.missed_slots = std::move(comparison.missed_slots);
  EXPECT_EQ(Describe(comparison.differences), "") << Describe(constants);
}

// Without what the engine calls dead: it loads as it would on a node.
void LoadPruned(const ObjectSpec& object, const ConstantSet& constants, Totals& totals) {
  const auto liveness = reachability::Analyze(object, constants);
  ASSERT_TRUE(liveness.ok()) << liveness.status();
  LoadOptions options;
  for (size_t i = 0; i < object.maps.size(); ++i) {
    if (!liveness->maps[i]) options.cut_maps.insert(object.maps[i].name);
  }
  for (size_t i = 0; i < object.programs.size(); ++i) {
    if (!liveness->programs[i].live) options.cut_programs.insert(object.programs[i].name);
  }
  const auto pruned = LoadAndRead(object, constants, options);
  ASSERT_TRUE(pruned.ok()) << "pruned, " << Describe(constants) << pruned.status();
  for (const auto& [name, program] : *pruned) {
    EXPECT_TRUE(program.loaded) << "pruned " << name << ", " << Describe(constants)
                                << ReasonOf(program.log);
  }
  ++totals.loads;
}

// Settings as an operator may choose them: mostly toggles, numbers within their range.
void Randomise(const ObjectSpec& object, std::mt19937_64& random, ConstantSet& constants) {
  const uint64_t density = 1 + random() % 7;
  for (const object::Constant& constant : object.constants) {
    if (!constant.is_integer) continue;
    int64_t value = 0;
    if (constant.is_bool) {
      value = random() % 8 < density;
    } else {
      const int64_t min = constant.min.value_or(0), max = constant.max.value_or(100);
      value = random() % 3 == 0   ? min
              : random() % 3 == 0 ? max
                                  : min + static_cast<int64_t>(random() % (max - min + 1));
    }
    const auto status = constants::Override(object, constant.name, value, constants);
    ASSERT_TRUE(status.ok()) << status;
  }
}

void SetToggles(const ObjectSpec& object, bool on, const std::string& except,
                ConstantSet& constants) {
  for (const object::Constant& constant : object.constants) {
    if (!constant.is_bool) continue;
    const bool value = constant.name == except ? !on : on;
    ASSERT_TRUE(constants::Override(object, constant.name, value, constants).ok());
  }
}

// Where an object comes from, and whether the kernel has to take all of it.
struct Source {
  std::string path;
  bool shipped = false;  // as it runs on nodes
};
std::ostream& operator<<(std::ostream& out, const Source& source) { return out << source.path; }

class Differential : public ::testing::TestWithParam<Source> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
    auto read = object::Read(GetParam().path);
    ASSERT_TRUE(read.ok()) << read.status();
    object_ = *std::move(read);
  }

  void Check(const ConstantSet& constants) {
    CompareOnce(object_, constants, totals_);
    if (GetParam().shipped) LoadPruned(object_, constants, totals_);
  }

  // What the kernel refuses is not compared, so it is named; of what is shipped it refuses nothing.
  void TearDown() override {
    if (IsSkipped()) return;
    std::printf("%s: %d settings, %d loads; %s\n", GetParam().path.c_str(), totals_.settings,
                totals_.loads, totals_.counts.Text().c_str());
    for (const auto& [refusal, times] : totals_.refusals) {
      std::printf("  refused %d times: %s\n", times, refusal.c_str());
    }
    EXPECT_TRUE(!GetParam().shipped || totals_.counts.refused == 0);
    EXPECT_GE(totals_.counts.programs, totals_.counts.refused);
    // Code of other compilers is harder on whoever joins paths: -O1 and instruction set v2 keep every
    // condition as a number and test it again.
    EXPECT_LT(totals_.counts.MissedShare(), GetParam().shipped ? 0.005 : 0.02)
        << Describe(totals_.missed_slots);
  }

  ObjectSpec object_;
  Totals totals_;
};

class Shipped : public Differential {};  // what one compiler's code is enough for

TEST_P(Differential, DefaultsAllOffAllOnAndOneByOne) {
  const ConstantSet defaults = constants::Defaults(object_);
  Check(defaults);
  std::set<std::string> toggles{""};
  for (const object::Constant& constant : object_.constants) {
    if (constant.is_bool) toggles.insert(constant.name);
  }
  for (const bool on : {false, true}) {
    for (const std::string& except : toggles) {
      ConstantSet constants = defaults;
      SetToggles(object_, on, except, constants);
      Check(constants);
    }
  }
}

TEST_P(Shipped, LoadsWithEachNumberAtItsEnds) {
  for (const object::Constant& constant : object_.constants) {
    if (constant.is_bool || !constant.is_integer) continue;
    for (const int64_t value : {constant.min.value_or(0), constant.max.value_or(100)}) {
      ConstantSet constants = constants::Defaults(object_);
      SetToggles(object_, true, "", constants);
      ASSERT_TRUE(constants::Override(object_, constant.name, value, constants).ok());
      Check(constants);
    }
  }
}

TEST_P(Differential, RandomSettings) {
  std::mt19937_64 random(20240607);
  for (uint64_t round = FromEnvironment("BONSAI_DIFFERENTIAL_ROUNDS", 10); round > 0; --round) {
    ConstantSet constants = constants::Defaults(object_);
    Randomise(object_, random, constants);
    Check(constants);
    if (HasFailure()) return;
  }
}

std::vector<std::string> Variants(const std::string& text) {
  std::vector<std::string> variants;
  std::stringstream list(text);
  for (std::string variant; std::getline(list, variant, ',');) variants.push_back(variant);
  return variants;
}

std::vector<Source> ShippedSources() {
  std::vector<Source> sources;
  for (const char* name : kDatapath) {
    sources.push_back({std::string(BONSAI_BPF_DIR) + "/" + name + ".bpf.o", true});
  }
  return sources;
}

std::vector<Source> Sources() {
  std::vector<Source> sources = ShippedSources();
  for (const std::string& variant : Variants(DATAPATH_VARIANTS)) {
    for (const char* name : kDatapath) {
      sources.push_back({fmt::format("{}/{}.{}.o", DATAPATH_VARIANTS_DIR, name, variant)});
    }
  }
  for (const std::string& variant : Variants(TEST_BPF_VARIANTS)) {
    for (const char* name : {"uses", "traps"}) {
      sources.push_back({fmt::format("{}/{}.{}.o", TEST_BPF_DIR, name, variant)});
    }
  }
  return sources;
}

std::string NameOf(const ::testing::TestParamInfo<Source>& info) {
  const std::string& path = info.param.path;
  std::string name = path.substr(path.rfind('/') + 1);
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Objects, Differential, ::testing::ValuesIn(Sources()), NameOf);
INSTANTIATE_TEST_SUITE_P(Objects, Shipped, ::testing::ValuesIn(ShippedSources()), NameOf);

}  // namespace
}  // namespace bonsai::differential
