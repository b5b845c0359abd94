// SPDX-License-Identifier: Apache-2.0
// The engine against the kernel's verifier: what the kernel kept, we called live; what it dropped,
// we had called dead; and what we cut loads without the part that was cut.
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <sstream>

#include "tests/differential/compare.h"

namespace bonsai::differential {
namespace {

using constants::ConstantSet;
using object::ObjectSpec;

void CompareOnce(const ObjectSpec& object, const ConstantSet& constants, Counts& counts) {
  const auto kept = LoadAndRead(object, constants);
  ASSERT_TRUE(kept.ok()) << Describe(constants) << kept.status();
  Comparison comparison;
  const absl::Status status = Compare(object, constants, *kept, comparison);
  ASSERT_TRUE(status.ok()) << status;
  counts += comparison.counts;
  EXPECT_EQ(Describe(comparison.differences), "") << Describe(constants);
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
  void TearDown() override { std::printf("%s\n", counts_.Text().c_str()); }
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
