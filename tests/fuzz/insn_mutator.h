// SPDX-License-Identifier: Apache-2.0
// Changes to machine code that leave it machine code, so that fuzzing gets past the decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "agent/object/object_spec.h"

namespace bonsai::fuzz {

using Random = std::minstd_rand;
using object::Insn;

// One of all known opcodes with likely operands. A load of a 64-bit immediate wants a second slot.
Insn RandomInsn(Random& random);

// Gives every register and the nearest stack something that later instructions can work with:
// numbers known and not, read-only data, the packet.
std::vector<Insn> Prologue(Random& random);

// A few instructions that mean something together: a call with the stack passed on, a callback, a
// tail call, a value through memory to a branch.
std::vector<Insn> Idiom(Random& random);

// Replaces, copies, swaps or alters an instruction or two.
void MutateInsns(std::span<Insn> code, Random& random);

// The same inside the executable sections of an ELF file; false when it has none.
bool MutateElfCode(std::span<uint8_t> file, Random& random);

}  // namespace bonsai::fuzz
