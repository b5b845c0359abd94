// SPDX-License-Identifier: Apache-2.0
// Programs as compilers make them: each constant's use is found, and nothing alive is cut.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

#include "agent/reachability/liveness.h"

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Variants() {
  std::vector<std::string> variants;
  std::stringstream list(TEST_BPF_VARIANTS);
  for (std::string item; std::getline(list, item, ',');) variants.push_back(item);
  return variants;
}

class Uses : public ::testing::TestWithParam<std::string> {
 protected:
  void Load(const std::string& name) {
    const auto read = object::Read(std::string(TEST_BPF_DIR) + "/" + name + "." + GetParam() + ".o");
    ASSERT_TRUE(read.ok()) << read.status();
    object_ = *read;
    constants_ = constants::Defaults(object_);
  }
  void Set(const std::string& name, int64_t value) {
    const auto status = constants::Override(object_, name, value, constants_);
    ASSERT_TRUE(status.ok()) << status;
  }
  // Bytes of a constant that is no number.
  template <typename T>
  void Poke(const std::string& name, uint32_t offset, T value) {
    const object::Constant* constant = object_.FindConstant(name);
    ASSERT_NE(constant, nullptr) << name;
    std::memcpy(constants_.sections.at(constant->section).data() + constant->offset + offset,
                &value, sizeof(value));
  }
  void TurnOn() {
    for (const auto& [name, value] : std::vector<std::pair<std::string, int64_t>>{
             {"on", 1}, {"mode", 3}, {"flags", 0x16}, {"wide", int64_t{1} << 40}, {"small", -7},
             {"port", 80}, {"limit", 5}}) {
      Set(name, value);
    }
    Poke<uint32_t>("set", 0, 77);
    Poke<uint16_t>("set", 4, 9);
    Poke<uint32_t>("table", 8, 5);
  }
  Liveness Run(const std::vector<std::string>& entries = {}) {
    auto liveness = Analyze(object_, constants_, entries);
    EXPECT_TRUE(liveness.ok()) << liveness.status();
    Explain(object_, constants_, *liveness);
    return *liveness;
  }
  std::vector<std::string> Maps(const Liveness& liveness, bool live) {
    std::vector<std::string> names;
    for (size_t i = 0; i < object_.maps.size(); ++i) {
      if (liveness.maps[i] == live) names.push_back(object_.maps[i].name);
    }
    return names;
  }
  std::string MapReason(const Liveness& liveness, const std::string& map) {
    return liveness.map_reasons.at(static_cast<size_t>(object_.FindMap(map) - object_.maps.data()));
  }
  ObjectSpec object_;
  constants::ConstantSet constants_;
};

TEST_P(Uses, CutWhenOff) {
  Load("uses");
  const Liveness liveness = Run();
  EXPECT_THAT(Maps(liveness, true), ::testing::ElementsAre("calls"));
  for (size_t i = 0; i < object_.maps.size(); ++i) {
    EXPECT_EQ(liveness.map_reasons[i].empty(), liveness.maps[i]) << object_.maps[i].name;
  }
  for (size_t i = 0; i < object_.programs.size(); ++i) {
    EXPECT_EQ(liveness.programs[i].live, !object_.programs[i].tail.has_value());
  }
  EXPECT_LT(liveness.live_insns, liveness.total_insns);
}

TEST_P(Uses, KeptWhenOn) {
  Load("uses");
  TurnOn();
  const Liveness liveness = Run();
  EXPECT_THAT(Maps(liveness, false), IsEmpty());
  for (const ProgramLiveness& program : liveness.programs) EXPECT_TRUE(program.live);
}

// One at a time: the setting of one use brings that use's map.
TEST_P(Uses, FollowsEachConstant) {
  Load("uses");
  Set("flags", 0x10);
  const Liveness liveness = Run();
  EXPECT_THAT(Maps(liveness, true),
              ::testing::UnorderedElementsAre("m_mask", "m_packet_and", "m_packet_or",
                                              "m_packet_xor", "calls"));
}

TEST_P(Uses, TailSlotsFollowConstants) {
  Load("uses");
  Set("limit", 5);
  const Liveness liveness = Run({"jumper"});
  const auto index = static_cast<size_t>(object_.FindProgram("jumper") - object_.programs.data());
  ASSERT_EQ(liveness.programs[index].tail_calls.size(), 1u);
  EXPECT_EQ(liveness.programs[index].tail_calls[0].slot, 5u);
  EXPECT_FALSE(liveness.programs[index].tail_calls_unknown_slot);
  EXPECT_THAT(Maps(liveness, true), ::testing::UnorderedElementsAre("m_tail_five", "calls"));
}

TEST_P(Uses, ReasonNamesConstantAndLine) {
  Load("uses");
  const Liveness liveness = Run();
  EXPECT_THAT(MapReason(liveness, "m_plain"),
              ::testing::MatchesRegex("on = false at uses.bpf.c:[0-9]+ `if \\(on\\)`"));
  EXPECT_THAT(MapReason(liveness, "m_equal"), HasSubstr("mode = 0 at uses.bpf.c:"));
  EXPECT_THAT(MapReason(liveness, "m_called"), HasSubstr("mode = 0 at uses.bpf.c:"));
  EXPECT_THAT(MapReason(liveness, "m_tail_two"), HasSubstr("on = false at uses.bpf.c:"));
  EXPECT_THAT(MapReason(liveness, "m_in_callback"), HasSubstr("on = false at uses.bpf.c:"));
}

TEST_P(Uses, NothingAliveIsCut) {
  Load("traps");
  const Liveness liveness = Run();
  EXPECT_THAT(Maps(liveness, false), IsEmpty());
  for (size_t i = 0; i < object_.programs.size(); ++i) {
    EXPECT_TRUE(liveness.programs[i].live) << object_.programs[i].name;
  }
}

TEST_P(Uses, UnknownEntryIsAnError) {
  Load("uses");
  EXPECT_EQ(Analyze(object_, constants_, {"nobody"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Objects, Uses, ::testing::ValuesIn(Variants()), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace bonsai::reachability
