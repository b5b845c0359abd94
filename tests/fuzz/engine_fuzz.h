// SPDX-License-Identifier: Apache-2.0
// Any bytes as machine code: the engine must answer, and what really runs must be what it calls live.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace bonsai::fuzz {

struct Answer {
  std::string mistake;  // "": none. What ran although it was called dead, with the code around it
  size_t slots_run = 0;
};

Answer AnalyseAndRun(std::span<const uint8_t> bytes);

}  // namespace bonsai::fuzz
