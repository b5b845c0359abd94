// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <set>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"
#include "tests/unit/object/objects.h"

namespace bonsai::object {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Reader : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto read = Read(ObjectPath("kinds", GetParam()));
    ASSERT_TRUE(read.ok()) << read.status();
    spec_ = *read;
  }
  const Function& FunctionNamed(const std::string& name) {
    for (const Function& function : spec_.functions) {
      if (function.name == name) return function;
    }
    ADD_FAILURE() << "no function " << name;
    return spec_.functions.front();
  }
  // Names of what `function` refers to in one way.
  std::multiset<std::string> Refs(const std::string& function, RefKind kind) {
    std::multiset<std::string> names;
    for (const Ref& ref : FunctionNamed(function).refs) {
      if (ref.kind != kind) continue;
      if (kind == RefKind::kMap) names.insert(spec_.maps.at(ref.index).name);
      if (kind == RefKind::kData) {
        names.insert(spec_.data_sections.at(ref.index).name + "+" + std::to_string(ref.offset));
      }
      if (kind == RefKind::kCall || kind == RefKind::kFunctionAddress) {
        names.insert(spec_.functions.at(ref.index).name);
      }
      if (kind == RefKind::kExtern) names.insert(spec_.externs.at(ref.index));
      if (kind == RefKind::kCore) names.insert("core");
    }
    return names;
  }
  ObjectSpec spec_;
};

TEST_P(Reader, FindsProgramsAndTheirTails) {
  ASSERT_EQ(spec_.programs.size(), 3u);
  const Program* entry = spec_.FindProgram("entry");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->section, "?tc/ingress");
  EXPECT_FALSE(entry->tail.has_value());
  const Program* tagged = spec_.FindProgram("tagged");
  ASSERT_NE(tagged, nullptr);
  ASSERT_TRUE(tagged->tail.has_value());
  EXPECT_EQ(tagged->tail->map, "calls");
  EXPECT_EQ(tagged->tail->slot, 3u);
  EXPECT_THAT(FunctionNamed("tagged").tags, ElementsAre("tail:calls/3"));
}

TEST_P(Reader, SplitsFunctionsStaticOnesToo) {
  std::set<std::string> names, global;
  for (const Function& function : spec_.functions) {
    names.insert(function.name);
    if (function.is_global) global.insert(function.name);
    ASSERT_FALSE(function.insns.empty());
    EXPECT_EQ(function.insns.back().opcode, BPF_JMP | BPF_EXIT) << function.name;
  }
  EXPECT_THAT(names, UnorderedElementsAre("local", "shared", "weak", "callback", "tagged",
                                          "jumped_to", "entry"));
  EXPECT_THAT(global, UnorderedElementsAre("shared", "weak", "tagged", "jumped_to", "entry"));
}

TEST_P(Reader, ReadsMapsWithInnerMapsAndInitialisers) {
  ASSERT_EQ(spec_.maps.size(), 5u);
  const Map* table = spec_.FindMap("table");
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->type, BPF_MAP_TYPE_HASH);
  EXPECT_EQ(table->key_size, 8u);
  EXPECT_EQ(table->value_size, 24u);
  EXPECT_EQ(table->max_entries, 1000u);
  EXPECT_EQ(table->map_flags, static_cast<uint32_t>(BPF_F_NO_PREALLOC));
  EXPECT_EQ(table->feature, "x");
  EXPECT_EQ(table->sized_by, "x-entries");
  const Map* outer = spec_.FindMap("outer");
  ASSERT_NE(outer, nullptr);
  ASSERT_EQ(outer->inner.size(), 1u);
  EXPECT_EQ(outer->inner[0].type, BPF_MAP_TYPE_ARRAY);
  EXPECT_EQ(outer->inner[0].value_size, 8u);
  EXPECT_EQ(outer->initial_maps, (std::map<uint32_t, std::string>{{1, "inner_b"}}));
  const Map* calls = spec_.FindMap("calls");
  ASSERT_NE(calls, nullptr);
  EXPECT_EQ(calls->type, BPF_MAP_TYPE_PROG_ARRAY);
  EXPECT_EQ(calls->initial_programs, (std::map<uint32_t, std::string>{{2, "jumped_to"}}));
}

TEST_P(Reader, ResolvesReferences) {
  EXPECT_THAT(Refs("entry", RefKind::kMap),
              UnorderedElementsAre("outer", "table", "inner_a", "calls"));
  EXPECT_THAT(Refs("entry", RefKind::kCall), UnorderedElementsAre("shared", "weak"));
  EXPECT_THAT(Refs("entry", RefKind::kFunctionAddress), UnorderedElementsAre("callback"));
  EXPECT_THAT(Refs("entry", RefKind::kExtern), UnorderedElementsAre("LINUX_KERNEL_VERSION"));
  EXPECT_THAT(Refs("entry", RefKind::kCore), UnorderedElementsAre("core"));
  EXPECT_THAT(Refs("shared", RefKind::kCall), UnorderedElementsAre("local"));
  EXPECT_THAT(Refs("tagged", RefKind::kCall), UnorderedElementsAre("local"));
  const Constant* limit = spec_.FindConstant("x_limit");
  ASSERT_NE(limit, nullptr);
  EXPECT_THAT(Refs("tagged", RefKind::kData),
              ElementsAre(".rodata.config+" + std::to_string(limit->offset)));
}

TEST_P(Reader, ReadsConstantsAndTags) {
  const Constant* toggle = spec_.FindConstant("enable_x");
  ASSERT_NE(toggle, nullptr);
  EXPECT_TRUE(toggle->is_bool && toggle->is_integer);
  EXPECT_EQ(toggle->origin, ConstantOrigin::kSetting);
  EXPECT_EQ(toggle->feature, "x");
  EXPECT_EQ(toggle->doc, "Turns x on.");
  EXPECT_THAT(toggle->requires_keys, ElementsAre("enable-a", "enable-b"));
  const DataSection& config = spec_.data_sections.at(toggle->section);
  EXPECT_EQ(config.name, ".rodata.config");
  EXPECT_TRUE(config.read_only);
  EXPECT_EQ(config.bytes.at(toggle->offset), 1);
  const Constant* limit = spec_.FindConstant("x_limit");
  ASSERT_NE(limit, nullptr);
  EXPECT_EQ(limit->min, 1);
  EXPECT_EQ(limit->max, 9);
  EXPECT_EQ(config.bytes.at(limit->offset), 7);
  EXPECT_TRUE(spec_.FindConstant("x_bias")->is_signed);
  EXPECT_EQ(spec_.FindConstant("hertz")->origin, ConstantOrigin::kNode);
  const Constant* plain = spec_.FindConstant("plain");
  ASSERT_NE(plain, nullptr);
  EXPECT_EQ(plain->origin, ConstantOrigin::kOther);
  EXPECT_EQ(plain->size, 8u);
  EXPECT_EQ(spec_.data_sections.at(plain->section).bytes.at(plain->offset), 5);
  ASSERT_NE(spec_.FindConstant("pair"), nullptr);
  EXPECT_FALSE(spec_.FindConstant("pair")->is_integer);
}

TEST_P(Reader, KeepsSourceLines) {
  const Function& entry = FunctionNamed("entry");
  bool found = false;
  for (const SourceLine& line : entry.lines) {
    EXPECT_LT(line.slot, entry.insns.size());
    if (std::string(spec_.String(line.text)).find("if (enable_x)") == std::string::npos) continue;
    found = true;
    EXPECT_GT(line.line, 80u);
    EXPECT_THAT(std::string(spec_.String(line.file)), HasSubstr("kinds.bpf.c"));
  }
  EXPECT_TRUE(found);
}

TEST_P(Reader, WorksWithoutBtf) {
  auto bytes = FileBytes(spec_.path);
  // Stripped of BTF: no section of that name is left.
  for (size_t i = 0; i + 4 < bytes.size(); ++i) {
    if (std::memcmp(&bytes[i], ".BTF", 4) == 0) bytes[i + 1] = 'x';
  }
  const auto stripped = ReadBytes("stripped.bpf.o", bytes);
  ASSERT_TRUE(stripped.ok()) << stripped.status();
  EXPECT_EQ(stripped->maps.size(), spec_.maps.size());
  EXPECT_EQ(stripped->functions.size(), spec_.functions.size());
  EXPECT_EQ(stripped->programs.size(), spec_.programs.size());
  ASSERT_NE(stripped->FindConstant("plain"), nullptr);
  EXPECT_EQ(stripped->FindConstant("plain")->size, 8u);
  EXPECT_EQ(stripped->FindConstant("enable_x")->origin, ConstantOrigin::kOther);
}

INSTANTIATE_TEST_SUITE_P(Objects, Reader, ::testing::ValuesIn(Variants()), VariantName);

}  // namespace
}  // namespace bonsai::object
