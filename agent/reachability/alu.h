// SPDX-License-Identifier: Apache-2.0
// Arithmetic on Numbers: for any member of the operands, what the instruction computes is a member
// of the result. Pure.
#pragma once

#include <cstdint>

#include "agent/reachability/number.h"

namespace bonsai::reachability {

// `op`: BPF_ADD .. BPF_ARSH and BPF_NEG of linux/bpf.h, not BPF_MOV and BPF_END. `wide`: ALU64.
// Division, modulo and shifts out of range give all numbers, of 64 bits even where the machine clears
// the upper half: no verifier up to 6.18 follows them, and knowing more than it only makes loads
// fail.
Number Alu(uint8_t op, bool wide, const Number& a, const Number& b);

// The low `bits` (8, 16, 32), sign-extended to 64 bits, or to 32 and then zero-extended.
Number SignExtend(const Number& a, uint32_t bits, bool wide);
// Bytes of the low `bits` (16, 32, 64) reversed, the rest zero.
Number ByteSwap(const Number& a, uint32_t bits);

}  // namespace bonsai::reachability
