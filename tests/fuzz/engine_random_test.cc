// SPDX-License-Identifier: Apache-2.0
// A bounded number of random programs, always the same: what runs is what the engine calls live.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/engine_fuzz.h"
#include "tests/fuzz/engine_input.h"
#include "tests/fuzz/insn_mutator.h"

namespace bonsai::fuzz {
namespace {

constexpr int kPrograms = 50000;

std::vector<Insn> RandomFunction(Random& random) {
  std::vector<Insn> code = Prologue(random);
  for (size_t left = 8 + random() % 40; left > 0; --left) {
    code.push_back(RandomInsn(random));
    if (code.back().opcode == (BPF_LD | BPF_IMM | BPF_DW)) code.push_back({});
  }
  code.push_back({.opcode = BPF_JMP | BPF_EXIT});
  return code;
}

// One to four functions, filled up with exits to the same length.
std::vector<uint8_t> RandomProgram(Random& random) {
  std::vector<std::vector<Insn>> functions(1 + random() % 4);
  size_t longest = 0;
  for (auto& function : functions) {
    function = RandomFunction(random);
    longest = std::max(longest, function.size());
  }
  std::vector<uint8_t> bytes(kHeadBytes);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % 4);
  bytes[0] = static_cast<uint8_t>(functions.size() - 1);
  for (auto& function : functions) {
    function.resize(longest, {.opcode = BPF_JMP | BPF_EXIT});
    const auto* raw = reinterpret_cast<const uint8_t*>(function.data());
    bytes.insert(bytes.end(), raw, raw + longest * sizeof(Insn));
  }
  return bytes;
}

TEST(RandomProgram, RunsOnlyWhatIsCalledLive) {
  Random random(1);
  size_t slots = 0;
  for (int program = 0; program < kPrograms; ++program) {
    const Answer answer = AnalyseAndRun(RandomProgram(random));
    ASSERT_EQ(answer.mistake, "") << "program " << program;
    slots += answer.slots_run;
  }
  EXPECT_GT(slots, size_t{kPrograms} * 100);  // they do get somewhere
}

}  // namespace
}  // namespace bonsai::fuzz
