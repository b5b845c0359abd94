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

// Functions but the first two, which are programs, write to where their argument points.
std::vector<Insn> RandomFunction(Random& random, bool program) {
  std::vector<Insn> code;
  if (!program) {
    code.push_back({.opcode = static_cast<uint8_t>(BPF_ST | BPF_MEM | (random() % 4) << 3),
                    .dst = static_cast<uint8_t>(1 + random() % 2),
                    .offset = static_cast<int16_t>(random() % 9),
                    .imm = static_cast<int32_t>(random() % 4)});
  }
  const auto add = [&](const std::vector<Insn>& more) {
    code.insert(code.end(), more.begin(), more.end());
  };
  add(Prologue(random));
  for (size_t left = program ? 8 + random() % 30 : random() % 8; left > 0; --left) {
    if (random() % 6 == 0) add(Idiom(random));
    code.push_back(RandomInsn(random));
    if (code.back().opcode == (BPF_LD | BPF_IMM | BPF_DW)) code.push_back({});
  }
  code.push_back({.opcode = BPF_ALU64 | BPF_AND | BPF_K, .imm = 1});  // as callbacks must
  code.push_back({.opcode = BPF_JMP | BPF_EXIT});
  return code;
}

// Four functions, filled up with exits to the same length.
std::vector<uint8_t> RandomProgram(Random& random) {
  std::vector<std::vector<Insn>> functions(4);
  size_t longest = 0;
  for (size_t i = 0; i < functions.size(); ++i) {
    functions[i] = RandomFunction(random, i < 2);
    longest = std::max(longest, functions[i].size());
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
  EXPECT_GT(slots, size_t{kPrograms} * 120);  // they do get somewhere
}

}  // namespace
}  // namespace bonsai::fuzz
