// SPDX-License-Identifier: Apache-2.0
// What a fuzzer does with some bytes: read them as an object, analyse it. Any answer is fine.
#pragma once

#include <cstdint>
#include <vector>

namespace bonsai::fuzz {

// True: the bytes were an object and it was analysed.
bool ReadAndAnalyse(const std::vector<uint8_t>& bytes);

}  // namespace bonsai::fuzz
