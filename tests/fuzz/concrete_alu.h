// SPDX-License-Identifier: Apache-2.0
// What arithmetic and comparisons give for numbers, as the instruction set defines it.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/object/object_spec.h"

namespace bonsai::fuzz {

// Nothing: no verifier lets that instruction pass, or it is not arithmetic on numbers.
std::optional<uint64_t> ConcreteAlu(const object::Insn& insn, uint64_t dst, uint64_t src);
std::optional<bool> ConcreteCompare(const object::Insn& insn, uint64_t dst, uint64_t src);

uint64_t SignExtended(uint64_t value, uint32_t bits);

}  // namespace bonsai::fuzz
