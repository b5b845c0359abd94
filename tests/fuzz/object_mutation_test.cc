// SPDX-License-Identifier: Apache-2.0
// A bounded number of deterministic mutations of real objects: no crash, no hang, for any bytes.
// The libFuzzer target does the same without end.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "agent/object/object_spec.h"
#include "tests/fuzz/object_fuzz.h"

namespace bonsai::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes FileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Where the machine code of `path` stands in its bytes.
std::vector<size_t> CodeOffsets(const std::string& path, const Bytes& bytes) {
  std::vector<size_t> offsets;
  const auto object = object::Read(path);
  if (!object.ok()) return offsets;
  for (const object::Function& function : object->functions) {
    const size_t size = function.insns.size() * sizeof(object::Insn);
    const void* found = memmem(bytes.data(), bytes.size(), function.insns.data(), size);
    if (found == nullptr) continue;
    const auto begin = static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes.data());
    for (size_t at = 0; at < size; ++at) offsets.push_back(begin + at);
  }
  return offsets;
}

class Mutation : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    path_ = std::string(TEST_BPF_DIR) + "/" + GetParam();
    original_ = FileBytes(path_);
    ASSERT_TRUE(ReadAndAnalyse(original_));
  }
  std::string path_;
  Bytes original_;
  std::mt19937_64 random_{42};
};

TEST_P(Mutation, AnyByteMayChange) {
  for (int round = 0; round < 4000; ++round) {
    Bytes bytes = original_;
    for (int flips = 1 << (round % 6); flips > 0; --flips) {
      bytes[random_() % bytes.size()] = static_cast<uint8_t>(random_());
    }
    ReadAndAnalyse(bytes);
  }
}

TEST_P(Mutation, AnyInstructionMayChange) {
  const std::vector<size_t> code = CodeOffsets(path_, original_);
  ASSERT_FALSE(code.empty());
  int analysed = 0;
  for (int round = 0; round < 4000; ++round) {
    Bytes bytes = original_;
    for (int flips = 1 << (round % 8); flips > 0; --flips) {
      bytes[code[random_() % code.size()]] = static_cast<uint8_t>(random_());
    }
    analysed += ReadAndAnalyse(bytes);
  }
  EXPECT_GT(analysed, 500);  // most of them are read, so that the engine is what is tried
}

TEST_P(Mutation, PartsMayMove) {
  for (int round = 0; round < 2000; ++round) {
    Bytes bytes = original_;
    const size_t length = random_() % 256;
    const size_t from = random_() % (bytes.size() - length), to = random_() % (bytes.size() - length);
    std::memmove(&bytes[to], &bytes[from], length);
    if (round % 3 == 0) bytes.resize(random_() % bytes.size());
    ReadAndAnalyse(bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Objects, Mutation,
                         ::testing::Values("kinds.clang19-v3-O2.o", "uses.clang19-v4-O2.o",
                                           "traps.clang19-v2-O2.o"),
                         [](const auto& info) {
                           return info.param.substr(0, info.param.find('.'));
                         });

}  // namespace
}  // namespace bonsai::fuzz
