// SPDX-License-Identifier: Apache-2.0
// libFuzzer on the engine alone, by instructions.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/engine_fuzz.h"
#include "tests/fuzz/engine_input.h"
#include "tests/fuzz/insn_mutator.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const bonsai::fuzz::Answer answer = bonsai::fuzz::AnalyseAndRun({data, size});
  if (answer.mistake.empty()) return 0;
  std::fputs(answer.mistake.c_str(), stderr);
  std::abort();
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  using bonsai::fuzz::Insn;
  constexpr size_t kHead = bonsai::fuzz::kHeadBytes;
  bonsai::fuzz::Random random(seed);
  // Without a whole head and some code, or now and then: any bytes.
  if (size < kHead + sizeof(Insn) || random() % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  if (random() % 8 == 0) {
    return std::max(size, LLVMFuzzerMutate(data, kHead, kHead));  // constants, number of functions
  }
  std::vector<Insn> code((size - kHead) / sizeof(Insn));
  std::memcpy(code.data(), data + kHead, code.size() * sizeof(Insn));
  const size_t most = (max_size - kHead) / sizeof(Insn);
  if (code.size() < most && random() % 4 == 0) code.push_back(bonsai::fuzz::RandomInsn(random));
  if (code.size() > 1 && random() % 16 == 0) code.erase(code.begin() + random() % code.size());
  for (uint32_t left = 1 + random() % 3; left > 0; --left) bonsai::fuzz::MutateInsns(code, random);
  code.resize(std::min(code.size(), most));
  std::memcpy(data + kHead, code.data(), code.size() * sizeof(Insn));
  return kHead + code.size() * sizeof(Insn);
}
