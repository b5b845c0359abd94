// SPDX-License-Identifier: Apache-2.0
// A generated sequence of instructions: a program and functions it calls, of which any part can be
// left out.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/object/object_spec.h"
#include "tests/differential/image.h"
#include "tests/differential/random.h"

namespace bonsai::differential {

// One instruction. What it refers to is named, not counted in slots, so that others may go.
struct Item {
  bpf_insn insn{};
  int target = -1;         // of a jump: an item of the same function; its size: the end
  int callee = -1;         // of a call: a function
  int data_offset = -1;    // of a load of an address: into the read-only data
  int32_t high = 0;        // of a load of a 64-bit number: its upper half
  bool glued = false;      // makes sense behind the one before only: nothing jumps here
};

struct InsnFunction {
  bool is_global = false;
  std::vector<Item> items;
};

struct InsnCase {
  std::vector<InsnFunction> functions;  // the first is the program
  std::vector<uint8_t> data;            // read-only

  size_t Size() const;  // items
  // Without the items (numbered through all functions) that `kept` does not mark.
  InsnCase Without(const std::vector<bool>& kept) const;
  // Without functions that none calls: the kernel does not know such.
  InsnCase Called() const;

  object::ObjectSpec Spec() const;  // as the engine gets it
  // As the kernel gets it. `data_fd`: a map of one element with `data`.
  Image ToImage(int btf_fd, const std::vector<uint32_t>& function_types, int data_fd) const;
  std::string Text() const;  // instructions as initialisers of struct bpf_insn
};

InsnCase GenerateInsns(Random& random);

inline constexpr size_t kMostInsnFunctions = 3;
inline constexpr size_t kDataBytes = 64;

}  // namespace bonsai::differential
