// SPDX-License-Identifier: Apache-2.0
// Objects as other projects write them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <map>
#include <set>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"
#include "tests/unit/object/objects.h"

namespace bonsai::object {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class Styles : public ::testing::TestWithParam<std::string> {
 protected:
  void Open(const std::string& source) {
    auto read = Read(ObjectPath(source, GetParam()));
    ASSERT_TRUE(read.ok()) << read.status();
    spec_ = *std::move(read);
  }
  const Function& FunctionNamed(const std::string& name) {
    for (const Function& function : spec_.functions) {
      if (function.name == name) return function;
    }
    ADD_FAILURE() << "no function " << name;
    return spec_.functions.front();
  }
  std::vector<std::string> Refs(const std::string& function, RefKind kind) {
    std::vector<std::string> names;
    for (const Ref& ref : FunctionNamed(function).refs) {
      if (ref.kind != kind) continue;
      if (kind == RefKind::kMap) names.push_back(spec_.maps.at(ref.index).name);
      if (kind == RefKind::kData) {
        names.push_back(spec_.data_sections.at(ref.index).name + "+" + std::to_string(ref.offset));
      }
      if (kind == RefKind::kCall || kind == RefKind::kFunctionAddress) {
        names.push_back(spec_.functions.at(ref.index).name);
      }
      if (kind == RefKind::kExtern) names.push_back(spec_.externs.at(ref.index));
    }
    return names;
  }
  ObjectSpec spec_;
};

TEST_P(Styles, ProgramsInAnySectionNaming) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  std::map<std::string, std::string> sections;
  for (const Program& program : spec_.programs) sections[program.name] = program.section;
  EXPECT_THAT(sections, UnorderedElementsAre(
      Pair("named_tc", "tc"), Pair("named_classifier", "classifier/x"), Pair("tail_one", "tc/tail"),
      Pair("tail_two", "tc/tail"), Pair("named_xdp", "xdp"),
      Pair("named_connect", "?cgroup/connect4"), Pair("named_kprobe", "kprobe/do_unlinkat"),
      Pair("named_custom", "2/17-custom.name")));
  EXPECT_GT(FunctionNamed("tail_two").section_slot, 0u);
}

TEST_P(Styles, CallsResolveToTheStrongNameWhenAliased) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  EXPECT_THAT(Refs("named_classifier", RefKind::kCall),
              ElementsAre("strong", "replaceable", "hidden"));
  EXPECT_EQ(FunctionNamed("faded").section_slot, FunctionNamed("strong").section_slot);
  EXPECT_EQ(FunctionNamed("faded").insns.size(), FunctionNamed("strong").insns.size());
  EXPECT_TRUE(FunctionNamed("replaceable").is_global);
  EXPECT_FALSE(FunctionNamed("hidden").is_global);
  // Through the section's symbol and an addend.
  EXPECT_THAT(Refs("named_classifier", RefKind::kFunctionAddress),
              ElementsAre("first_callback", "second_callback"));
}

TEST_P(Styles, EachReadOnlySectionIsData) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  std::map<std::string, std::pair<bool, size_t>> sections;
  for (const DataSection& data : spec_.data_sections) {
    sections[data.name] = {data.read_only, data.bytes.size()};
  }
  EXPECT_THAT(sections, IsSupersetOf({
      Pair(".rodata.config", Pair(true, 8)), Pair(".rodata.masks", Pair(true, 16)),
      Pair(".rodata.str", Pair(true, 9)), Pair(".rodata.cst16", Pair(true, 16)),
      Pair(".data", Pair(false, 24)), Pair(".data.custom", Pair(false, 4)),
      Pair(".bss", Pair(false, 64))}));
  EXPECT_TRUE(sections.at(".rodata").first);
  EXPECT_EQ(sections.size(), 8u);
  EXPECT_THAT(Refs("named_xdp", RefKind::kData), ElementsAre(".rodata.cst16+0"));
  EXPECT_THAT(Refs("tail_two", RefKind::kData), ElementsAre(".rodata.str+0"));
}

TEST_P(Styles, StaticAndGlobalDataByNameOrSectionAndAddend) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  const std::vector<std::string> refs = Refs("tail_one", RefKind::kData);
  EXPECT_THAT(refs, IsSupersetOf({".data+0", ".data+8", ".data+16", ".bss+0", ".data.custom+0",
                                  ".rodata.masks+0"}));
}

TEST_P(Styles, ConstantsOfAnyType) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  std::set<std::string> names;
  for (const Constant& constant : spec_.constants) names.insert(constant.name);
  EXPECT_THAT(names, UnorderedElementsAre("__config_net", "__config_enable_x", "__config_mode",
                                          "ports", "masks", "banner", "faint"));
  EXPECT_TRUE(spec_.FindConstant("__config_enable_x")->is_bool);
  EXPECT_TRUE(spec_.FindConstant("__config_mode")->is_integer);
  EXPECT_FALSE(spec_.FindConstant("__config_net")->is_integer);
  EXPECT_FALSE(spec_.FindConstant("ports")->is_integer);
  EXPECT_EQ(spec_.FindConstant("ports")->size, 16u);
}

TEST_P(Styles, ExternsTypedOrNot) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  EXPECT_THAT(Refs("named_connect", RefKind::kExtern), ElementsAre("CONFIG_HZ"));
  EXPECT_THAT(Refs("named_kprobe", RefKind::kExtern),
              UnorderedElementsAre("typed_function", "typed_symbol", "plain_symbol",
                                   "missing_symbol"));
  EXPECT_THAT(Refs("named_kprobe", RefKind::kMap), ElementsAre("ring"));
}

TEST_P(Styles, MapsHeldOnlyByOthers) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  for (const Function& function : spec_.functions) {
    for (const std::string& name : Refs(function.name, RefKind::kMap)) EXPECT_NE(name, "held_only");
  }
  const Map* holder = spec_.FindMap("holder");
  ASSERT_NE(holder, nullptr);
  EXPECT_THAT(holder->initial_maps, ElementsAre(Pair(0, "held_only"), Pair(3, "also_held")));
  ASSERT_EQ(holder->inner.size(), 1u);
  EXPECT_EQ(holder->inner[0].value_size, 4u);
  const Map* sized = spec_.FindMap("sized_map");
  ASSERT_NE(sized, nullptr);
  EXPECT_EQ(sized->value_size, 20u);
  EXPECT_EQ(sized->max_entries, 1u << 20);
}

TEST_P(Styles, MapDefinitionsFromBeforeBtf) {
  ASSERT_NO_FATAL_FAILURE(Open("legacy"));
  ASSERT_EQ(spec_.maps.size(), 2u);
  const Map* one = spec_.FindMap("old_one");
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(one->type, BPF_MAP_TYPE_HASH);
  EXPECT_EQ(one->value_size, 8u);
  EXPECT_EQ(one->max_entries, 17u);
  EXPECT_EQ(one->map_flags, 1u);
  ASSERT_NE(spec_.FindMap("old_two"), nullptr);
  EXPECT_EQ(spec_.FindMap("old_two")->value_size, 16u);
  EXPECT_THAT(Refs("legacy", RefKind::kMap), UnorderedElementsAre("old_one", "old_two"));
}

TEST_P(Styles, HundredsOfMapsAndSixtyThousandInstructions) {
  ASSERT_NO_FATAL_FAILURE(Open("crowd"));
  EXPECT_EQ(spec_.maps.size(), 400u);
  EXPECT_EQ(spec_.constants.size(), 120u);
  EXPECT_EQ(spec_.programs.size(), 20u);
  size_t slots = 0;
  for (const Function& function : spec_.functions) slots += function.insns.size();
  EXPECT_GT(slots, 60000u);
  const std::vector<std::string> used = Refs("count_all", RefKind::kMap);
  EXPECT_EQ(used.size(), 400u);
  EXPECT_EQ(std::set<std::string>(used.begin(), used.end()).size(), 400u);
  ASSERT_NE(spec_.FindMap("map_377"), nullptr);
  EXPECT_EQ(spec_.FindMap("map_377")->max_entries, 1377u);
  EXPECT_EQ(Refs("program_19", RefKind::kData).size(), 120u);
}

TEST_P(Styles, SameWhereverTheBytesAreKept) {
  ASSERT_NO_FATAL_FAILURE(Open("styles"));
  const auto mapped = Read(spec_.path, Storage::kMapped);
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  const auto given = ReadBytes(spec_.path, FileBytes(spec_.path));
  ASSERT_TRUE(given.ok()) << given.status();
  for (const ObjectSpec& other : {*mapped, *given}) {
    ASSERT_EQ(other.functions.size(), spec_.functions.size());
    for (size_t i = 0; i < spec_.functions.size(); ++i) {
      const Function &a = spec_.functions[i], &b = other.functions[i];
      ASSERT_EQ(a.insns.size(), b.insns.size());
      EXPECT_EQ(std::memcmp(a.insns.data(), b.insns.data(), a.insns.size() * sizeof(Insn)), 0);
      EXPECT_EQ(a.refs.size(), b.refs.size());
      EXPECT_EQ(a.lines.size(), b.lines.size());
      ASSERT_FALSE(a.lines.empty());
      EXPECT_EQ(spec_.String(a.lines[0].text), other.String(b.lines[0].text));
      EXPECT_FALSE(spec_.String(a.lines[0].text).empty());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Objects, Styles, ::testing::ValuesIn(Variants()), VariantName);

TEST(Code, LinesMadeByHandAreFoundBySlot) {
  const SourceLines lines(std::vector<SourceLine>{{.slot = 0, .line = 10, .file = 1, .text = 2},
                                                  {.slot = 4, .line = 12, .file = 1, .text = 3}});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].slot, 4u);
  EXPECT_EQ(lines[1].line, 12u);
  EXPECT_EQ(lines[1].text, 3u);
  const auto after = std::upper_bound(
      lines.begin(), lines.end(), 3u,
      [](uint32_t slot, const SourceLine& line) { return slot < line.slot; });
  EXPECT_EQ((*(after - 1)).line, 10u);
}

TEST(Code, InstructionsOutliveTheirObject) {
  Insns insns;
  {
    auto read = Read(ObjectPath("legacy", Variants().front()));
    ASSERT_TRUE(read.ok()) << read.status();
    insns = read->functions.at(0).insns;
  }
  EXPECT_EQ(insns.back().opcode, BPF_JMP | BPF_EXIT);
}

}  // namespace
}  // namespace bonsai::object
