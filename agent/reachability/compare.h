// SPDX-License-Identifier: Apache-2.0
// Conditional jumps on Numbers: which way they can go, and what is known behind them. Pure.
#pragma once

#include <cstdint>

#include "agent/reachability/number.h"

namespace bonsai::reachability {

enum class Outcome : uint8_t { kNever, kAlways, kEither };

// `op`: BPF_JEQ .. BPF_JSLE and BPF_JSET of linux/bpf.h; `wide`: BPF_JMP, else BPF_JMP32.
Outcome Decide(uint8_t op, bool wide, const Number& a, const Number& b);

// Whether the jump is taken for these two numbers.
bool CompareConstants(uint8_t op, bool wide, uint64_t a, uint64_t b);

// Narrows both operands to what lets the jump be taken (or not). False: nothing does.
bool Refine(uint8_t op, bool wide, bool taken, Number& a, Number& b);

}  // namespace bonsai::reachability
