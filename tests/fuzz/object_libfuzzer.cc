// SPDX-License-Identifier: Apache-2.0
// libFuzzer on the ELF reader and what comes after it: half of the mutations are of any bytes,
// half of instructions alone.
#include <algorithm>

#include "tests/fuzz/insn_mutator.h"
#include "tests/fuzz/object_fuzz.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bonsai::fuzz::ReadAndAnalyse({data, data + size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  bonsai::fuzz::Random random(seed);
  if (random() % 2 && bonsai::fuzz::MutateElfCode({data, std::min(size, max_size)}, random)) {
    return size;
  }
  return LLVMFuzzerMutate(data, size, max_size);
}
