// SPDX-License-Identifier: Apache-2.0
// Any bytes: an answer or a one-line error, never a crash, hang or unbounded memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<uint8_t> RealObject() {
  const std::string variant = std::string(TEST_BPF_VARIANTS).substr(0, 13);
  std::ifstream file(std::string(TEST_BPF_DIR) + "/kinds." + variant + ".o", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void ExpectOneLineError(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::Message(status), AllOf(HasSubstr("x.bpf.o: section "), HasSubstr("offset 0x"),
                                           Not(HasSubstr("\n"))));
}

TEST(Robustness, ErrorWhenTruncatedAtAnyLength) {
  const auto bytes = RealObject();
  ASSERT_GT(bytes.size(), 4096u);
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto read = ReadBytes("x.bpf.o", {bytes.begin(), bytes.begin() + length});
    // The section table stands at the end, so that every cut hits it.
    ASSERT_FALSE(read.ok()) << length;
    ExpectOneLineError(read.status());
  }
}

TEST(Robustness, AnswersWhenBytesAreFlipped) {
  const auto original = RealObject();
  std::mt19937 random(20240607);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = original;
    for (int flips = 1 + round % 8; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    }
    const auto read = ReadBytes("x.bpf.o", bytes);
    if (read.ok()) continue;
    ++refused;
    ExpectOneLineError(read.status());
  }
  EXPECT_GT(refused, 0);
}

TEST(Robustness, AnswersWhenTheSectionTableIsForged) {
  const auto original = RealObject();
  uint64_t table = 0;
  std::memcpy(&table, &original[40], sizeof(table));
  std::mt19937_64 random(7);
  for (int round = 0; round < 20000; ++round) {
    auto bytes = original;
    const size_t at = table + random() % (bytes.size() - table - 8);
    const uint64_t value = round % 2 ? random() : random() % bytes.size();
    std::memcpy(&bytes[at], &value, round % 3 ? 4 : 8);
    const auto read = ReadBytes("x.bpf.o", bytes);
    if (!read.ok()) ExpectOneLineError(read.status());
  }
}

TEST(Robustness, NamesTheCauseWhenNotABpfObject) {
  auto bytes = RealObject();
  bytes[5] = 2;  // EI_DATA: big endian
  EXPECT_THAT(base::Message(ReadBytes("x.bpf.o", bytes).status()), HasSubstr("big-endian"));
  bytes = RealObject();
  bytes[18] = 62;  // e_machine: x86-64
  EXPECT_THAT(base::Message(ReadBytes("x.bpf.o", bytes).status()), HasSubstr("not a BPF object"));
  EXPECT_THAT(base::Message(ReadBytes("x.bpf.o", {'h', 'i'}).status()), HasSubstr("not an ELF"));
  EXPECT_THAT(base::Message(Read("/nonexistent/a.bpf.o").status()),
              HasSubstr("/nonexistent/a.bpf.o"));
}

}  // namespace
}  // namespace bonsai::object
