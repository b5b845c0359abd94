// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"
#include "tests/unit/object/objects.h"

namespace bonsai::object {
namespace {

using ::testing::HasSubstr;

class Fields : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto read = Read(ObjectPath("styles", GetParam()));
    ASSERT_TRUE(read.ok()) << read.status();
    spec_ = *std::move(read);
  }
  // The value the object holds at `path`.
  int64_t ValueAt(const std::string& path) {
    const auto field = FindField(spec_, path);
    EXPECT_TRUE(field.ok()) << field.status();
    if (!field.ok() || field->size > sizeof(uint64_t)) return INT64_MIN;
    EXPECT_TRUE(field->is_integer) << path;
    uint64_t raw = 0;
    std::memcpy(&raw, spec_.data_sections.at(field->section).bytes.data() + field->offset,
                field->size);
    const uint32_t bits = field->bit_size != 0 ? field->bit_size : field->size * 8;
    raw = raw >> field->bit_offset << (64 - bits);
    return field->is_signed ? static_cast<int64_t>(raw) >> (64 - bits)
                            : static_cast<int64_t>(raw >> (64 - bits));
  }
  std::string ErrorAt(const std::string& path, absl::StatusCode code) {
    const auto field = FindField(spec_, path);
    EXPECT_EQ(field.status().code(), code) << path;
    return base::Message(field.status());
  }
  ObjectSpec spec_;
};

TEST_P(Fields, WholeConstantsWithOrWithoutPrefix) {
  EXPECT_EQ(ValueAt("__config_enable_x"), 1);
  EXPECT_EQ(ValueAt("enable_x"), 1);
  EXPECT_TRUE(FindField(spec_, "enable_x")->is_bool);
  EXPECT_EQ(ValueAt("mode"), 3);
  EXPECT_EQ(ValueAt("faint"), 6);
  const auto whole = FindField(spec_, "net");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_FALSE(whole->is_integer);
  EXPECT_EQ(whole->size, spec_.FindConstant("__config_net")->size);
}

TEST_P(Fields, MembersOfStructsAndUnions) {
  EXPECT_EQ(ValueAt("net.id"), 7);
  EXPECT_EQ(ValueAt("net.strict"), 1);
  EXPECT_TRUE(FindField(spec_, "net.strict")->is_bool);
  EXPECT_EQ(ValueAt("__config_net.mode"), 3);
  // Compilers before LLVM 16 do not say that an enum is signed.
  EXPECT_EQ(static_cast<int32_t>(ValueAt("net.offset")), -4);
  EXPECT_EQ(ValueAt("net.ends[1].port"), 8080);
  EXPECT_EQ(ValueAt("net.ends[1].address.words[2]"), 3);
  EXPECT_EQ(ValueAt("net.ends[1].address.bytes[12]"), 4);
  EXPECT_EQ(ValueAt("net.ends[1].range[2].low"), -7);
  EXPECT_EQ(ValueAt("net.ends[1].range[2].high"), 9);
  EXPECT_EQ(ValueAt("net.ends[0].range[2].high"), 0);
}

TEST_P(Fields, MembersOfAnonymousOnes) {
  EXPECT_EQ(ValueAt("net.first"), 0);
  EXPECT_EQ(ValueAt("net.second"), 0x22222222);
  EXPECT_EQ(ValueAt("net.whole"), 0x2222222200000000);
}

TEST_P(Fields, Arrays) {
  EXPECT_EQ(ValueAt("ports[2]"), 8080);
  EXPECT_EQ(ValueAt("masks[1]"), 2);
  EXPECT_EQ(ValueAt("net.table[1][2]"), 6);
  EXPECT_EQ(ValueAt("net.table[0][1]"), 2);
  EXPECT_FALSE(FindField(spec_, "net.table[1]")->is_integer);
  EXPECT_EQ(FindField(spec_, "net.table[1]")->size, 6u);
  EXPECT_FALSE(FindField(spec_, "net.pointer")->is_integer);
}

TEST_P(Fields, BitFields) {
  EXPECT_EQ(ValueAt("net.narrow"), 5);
  EXPECT_EQ(ValueAt("net.wide"), 0x2aaa);
  EXPECT_EQ(ValueAt("net.top"), 1);
  EXPECT_EQ(ValueAt("net.negative"), -3);
  EXPECT_EQ(ValueAt("net.large"), 0x123456789a);
  EXPECT_EQ(FindField(spec_, "net.wide")->bit_size, 14u);
  EXPECT_EQ(FindField(spec_, "net.id")->bit_size, 0u);
}

TEST_P(Fields, NearestIsNamedWhenThereIsNone) {
  const auto none = absl::StatusCode::kNotFound;
  EXPECT_THAT(ErrorAt("enabel_x", none), HasSubstr("nearest: enable_x"));
  EXPECT_THAT(ErrorAt("net.negativ", none), HasSubstr("nearest: negative"));
  EXPECT_THAT(ErrorAt("net.ends[1].prot", none), HasSubstr("ends[1] has no field prot; nearest: port"));
  EXPECT_THAT(ErrorAt("ports[4]", none), HasSubstr("no element 4; it has 4"));
  EXPECT_THAT(ErrorAt("ports.x", none), HasSubstr("no fields"));
  EXPECT_THAT(ErrorAt("net[0]", none), HasSubstr("no array"));
}

TEST_P(Fields, ErrorWhenNoPath) {
  for (const char* path : {"", ".", "net.", "net..id", "[1]", "ports[", "ports[]", "ports[x]",
                           "ports[1", "ports[1]x", "ports[-1]", "ports[99999999999999999999]"}) {
    ErrorAt(path, absl::StatusCode::kInvalidArgument);
  }
}

TEST_P(Fields, WholeConstantsOnlyWithoutBtf) {
  std::vector<uint8_t> bytes = FileBytes(spec_.path);
  for (size_t i = 0; i + 4 < bytes.size(); ++i) {
    if (std::memcmp(&bytes[i], ".BTF", 4) == 0) bytes[i + 1] = 'x';
  }
  const auto stripped = ReadBytes("stripped.bpf.o", bytes);
  ASSERT_TRUE(stripped.ok()) << stripped.status();
  const auto whole = FindField(*stripped, "enable_x");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->size, 1u);
  const auto part = FindField(*stripped, "net.id");
  EXPECT_EQ(part.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(base::Message(part.status()), HasSubstr("lacks type information"));
}

INSTANTIATE_TEST_SUITE_P(Objects, Fields, ::testing::ValuesIn(Variants()), VariantName);

}  // namespace
}  // namespace bonsai::object
