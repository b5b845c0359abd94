// SPDX-License-Identifier: Apache-2.0
// The engine against the kernel's verifier: what the kernel kept, we called live; what it dropped,
// we had called dead; and what we cut loads without the part that was cut.
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <sstream>

#include "agent/reachability/liveness.h"
#include "tests/differential/oracle.h"

namespace bonsai::differential {
namespace {

using constants::ConstantSet;
using object::ObjectSpec;
using reachability::Liveness;

struct Counts {
  int loads = 0, programs = 0;
  int maps_kept = 0, maps_dropped = 0;    // by kernel and engine alike
  int cut_alive = 0, missed = 0;          // where they differ
  int tail_calls = 0, tail_calls_differ = 0;

  void Print(const std::string& what) const {
    std::printf("%s: %d loads, %d programs; map references kept %d, dropped %d, alive but cut %d, "
                "missed %d; tail calls %d, differing %d\n",
                what.c_str(), loads, programs, maps_kept, maps_dropped, cut_alive, missed,
                tail_calls, tail_calls_differ);
  }
};

std::set<std::string> MapsReferred(const ObjectSpec& object, const Liveness& liveness,
                                   uint32_t program) {
  std::set<std::string> names;
  for (uint32_t map : liveness.programs[program].maps) names.insert(object.maps[map].name);
  return names;
}

// Every map that some function the program calls, dead or alive, refers to.
std::set<std::string> MapsInCode(const ObjectSpec& object, uint32_t program) {
  std::set<std::string> names;
  std::set<uint32_t> seen;
  std::vector<uint32_t> left{object.programs[program].function};
  while (!left.empty()) {
    const uint32_t function = left.back();
    left.pop_back();
    if (!seen.insert(function).second) continue;
    for (const object::Ref& ref : object.functions[function].refs) {
      if (ref.kind == object::RefKind::kMap) names.insert(object.maps[ref.index].name);
      if (ref.kind == object::RefKind::kCall || ref.kind == object::RefKind::kFunctionAddress) {
        left.push_back(ref.index);
      }
    }
  }
  return names;
}

std::string Describe(const ConstantSet& constants) {
  std::string text;
  for (const constants::NamedValue& value : constants.values) {
    if (!value.is_default) text += value.name + "=" + value.value + " ";
  }
  return text;
}

void CompareTailCalls(const reachability::ProgramLiveness& ours, const KeptProgram& kernel,
                      const std::string& what, Counts& counts) {
  if (kernel.unknown_tail_call || ours.tail_calls_unknown_slot) return;
  std::set<std::pair<std::string, uint32_t>> called;
  for (const object::TailSlot& tail : ours.tail_calls) called.emplace(tail.map, tail.slot);
  counts.tail_calls += static_cast<int>(kernel.tail_calls.size());
  if (called == kernel.tail_calls) return;
  ++counts.tail_calls_differ;
  std::string text;
  for (const auto& [map, slot] : kernel.tail_calls) {
    if (!called.contains({map, slot})) text += " kernel " + map + "/" + std::to_string(slot);
  }
  for (const auto& [map, slot] : called) {
    if (!kernel.tail_calls.contains({map, slot})) {
      text += " engine " + map + "/" + std::to_string(slot);
    }
  }
  ADD_FAILURE() << what << ": tail calls differ:" << text;
}

// Each program on its own, as the kernel sees it.
void ComparePrograms(const ObjectSpec& object, const ConstantSet& constants,
                     const std::map<std::string, KeptProgram>& kept, Counts& counts) {
  for (uint32_t i = 0; i < object.programs.size(); ++i) {
    const auto liveness = reachability::Analyze(object, constants, {object.programs[i].name});
    ASSERT_TRUE(liveness.ok()) << liveness.status();
    const KeptProgram& kernel = kept.at(object.programs[i].name);
    const std::set<std::string> ours = MapsReferred(object, *liveness, i);
    const std::string what =
        object.path + " " + object.programs[i].name + " with " + Describe(constants);
    ++counts.programs;
    for (const std::string& map : MapsInCode(object, i)) {
      const bool in_kernel = kernel.maps.contains(map), in_ours = ours.contains(map);
      counts.maps_kept += in_kernel && in_ours;
      counts.maps_dropped += !in_kernel && !in_ours;
      counts.cut_alive += in_kernel && !in_ours;
      counts.missed += !in_kernel && in_ours;
      EXPECT_FALSE(in_kernel && !in_ours) << what << ": " << map << " is alive but cut";
      EXPECT_FALSE(!in_kernel && in_ours) << what << ": " << map << " is dead but kept";
    }
    CompareTailCalls(liveness->programs[i], kernel, what, counts);
  }
}

void CompareOnce(const ObjectSpec& object, const ConstantSet& constants, Counts& counts) {
  const auto kept = LoadAndRead(object, constants, {});
  ASSERT_TRUE(kept.ok()) << Describe(constants) << kept.status();
  ComparePrograms(object, constants, *kept, counts);
  const auto liveness = reachability::Analyze(object, constants);
  ASSERT_TRUE(liveness.ok()) << liveness.status();
  Cut cut;
  for (size_t i = 0; i < object.maps.size(); ++i) {
    if (!liveness->maps[i]) cut.maps.insert(object.maps[i].name);
  }
  for (size_t i = 0; i < object.programs.size(); ++i) {
    if (!liveness->programs[i].live) cut.programs.insert(object.programs[i].name);
  }
  const auto pruned = LoadAndRead(object, constants, cut);
  EXPECT_TRUE(pruned.ok()) << "pruned, " << Describe(constants) << pruned.status();
  counts.loads += 2;
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

class Differential : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading programs needs root";
    auto read = object::Read(GetParam());
    ASSERT_TRUE(read.ok()) << read.status();
    object_ = *std::move(read);
  }
  void TearDown() override { counts_.Print(GetParam()); }
  ObjectSpec object_;
  Counts counts_;
};

TEST_P(Differential, DefaultsAllOffAllOnAndOneByOne) {
  const ConstantSet defaults = constants::Defaults(object_);
  CompareOnce(object_, defaults, counts_);
  std::set<std::string> toggles{""};
  for (const object::Constant& constant : object_.constants) {
    if (constant.is_bool) toggles.insert(constant.name);
  }
  for (const bool on : {false, true}) {
    for (const std::string& except : toggles) {
      ConstantSet constants = defaults;
      SetToggles(object_, on, except, constants);
      CompareOnce(object_, constants, counts_);
    }
  }
}

TEST_P(Differential, RandomSettings) {
  const char* rounds = std::getenv("BONSAI_DIFFERENTIAL_ROUNDS");
  std::mt19937_64 random(20240607);
  for (int round = rounds ? std::atoi(rounds) : 20; round > 0 && !HasFailure(); --round) {
    ConstantSet constants = constants::Defaults(object_);
    Randomise(object_, random, constants);
    CompareOnce(object_, constants, counts_);
  }
}

std::vector<std::string> Objects() {
  std::vector<std::string> objects;
  for (const char* name : {"xdp", "from_pod", "to_pod", "from_netdev"}) {
    objects.push_back(std::string(BONSAI_BPF_DIR) + "/" + name + ".bpf.o");
  }
  std::stringstream list(TEST_BPF_VARIANTS);
  for (std::string variant; std::getline(list, variant, ',');) {
    for (const char* name : {"uses", "traps"}) {
      objects.push_back(std::string(TEST_BPF_DIR) + "/" + name + "." + variant + ".o");
    }
  }
  return objects;
}

INSTANTIATE_TEST_SUITE_P(Objects, Differential, ::testing::ValuesIn(Objects()),
                         [](const auto& info) {
                           std::string name = info.param.substr(info.param.rfind('/') + 1);
                           for (char& c : name) {
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace bonsai::differential
