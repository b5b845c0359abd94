// SPDX-License-Identifier: Apache-2.0
// A generated C program: a tree of lines that can be printed with some of them left out.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/differential/random.h"

namespace bonsai::differential {

// `open`, what it encloses, `close`. Without `open` and `close` what is enclosed stays valid in
// most cases; what is not fails to compile.
struct Node {
  std::string open;
  std::vector<Node> body;
  std::string close;
};

struct CaseConstant {
  std::string type, name;
  uint64_t value = 0;
};

// How a case is compiled.
struct Variant {
  std::string clang, cpu, level;
  std::string Text() const { return clang + " -mcpu=" + cpu + " -" + level; }
};

struct CCase {
  std::vector<CaseConstant> constants;
  std::vector<Node> parts;  // maps, functions, programs
  Variant variant;

  size_t Size() const;  // nodes
  // By depth, each node with all it encloses: first number, and the one behind the last.
  std::vector<std::vector<std::pair<size_t, size_t>>> Levels() const;
  // The source with the nodes (numbered in the order of the text) that `kept` marks; empty: all.
  std::string Text(const std::vector<bool>& kept = {}) const;
};

// A few programs with some ordinary and many nasty uses of constants; each map is referred to from
// one place. `variant`: what it will be compiled with; v2 cannot fetch atomically.
CCase GenerateC(Random& random, const Variant& variant);

}  // namespace bonsai::differential
