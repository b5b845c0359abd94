// SPDX-License-Identifier: Apache-2.0
// Runs a program of numbers, stack, read-only data and calls for real, and says what it came past.
// It stops where no verifier would let a program go on, so that what it came past can happen.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "agent/object/object_spec.h"
#include "tests/fuzz/insn_mutator.h"

namespace bonsai::fuzz {

struct Trace {
  std::set<std::pair<uint32_t, uint32_t>> slots;  // (function, slot) run
  std::set<uint32_t> maps;                        // loaded
};

struct Cell {
  enum class Kind : uint8_t {
    kUninitialised,
    kNumber,    // value
    kStack,     // address `value` relative to the top of frame `index`
    kData,      // address `value` inside data section `index`
    kMap,       // map `index`
    kFunction,  // function `index`
    kContext,
    kForeign,   // address of something else that may be read and written
  };
  Kind kind = Kind::kUninitialised;
  uint32_t index = 0;
  uint64_t value = 0;

  static Cell Of(uint64_t value) { return {.kind = Kind::kNumber, .value = value}; }
  bool IsNumber() const { return kind == Kind::kNumber; }
};

inline constexpr int64_t kFrameBytes = 512;

// The stack of one call. Bytes never written are anything.
struct Frame {
  uint32_t function = 0;
  uint32_t slot = 0;
  std::array<Cell, 11> registers;
  std::array<uint8_t, kFrameBytes> bytes{};
  std::bitset<kFrameBytes / 8> pointers;       // eight bytes that hold spills[i]
  std::array<Cell, kFrameBytes / 8> spills{};
  // Of the bpf_loop that runs this callback.
  uint32_t iterations = 0;                     // left
  uint32_t done = 0;
  bool is_callback = false;
};

class Machine {
 public:
  // Both must outlive it.
  Machine(const object::ObjectSpec& object, Random& random) : object_(object), random_(random) {}

  // One run of program 0; `random` is its packet, what helpers return and the bytes of its stack
  // that nothing wrote.
  Trace Run();

 private:
  // Each of these is false where the run ends.
  bool Step();
  bool StepAlu(const Insn& insn);
  bool StepPointer(const Insn& insn, const Cell& src);
  bool StepLoadImm64(const Insn& insn);
  bool StepMemory(const Insn& insn);
  bool StepAtomic(const Insn& insn);
  bool StepJump(const Insn& insn);
  bool StepHelper(const Insn& insn);
  bool StepCall(uint32_t function);
  bool StepLoop();
  bool StepExit();

  bool Enter(uint32_t function, const std::vector<Cell>& arguments);
  bool Load(const Cell& base, int64_t offset, uint32_t size, Cell& result);
  bool Store(const Cell& base, int64_t offset, uint32_t size, const Cell& value);
  bool FillStack(const Cell& base, const Cell& size);
  std::optional<object::Ref> RefHere() const;

  Frame& Here() { return frames_.back(); }
  Cell& Reg(uint8_t index) { return Here().registers[index]; }
  void EndCall(Cell result);
  uint64_t Any();

  const object::ObjectSpec& object_;
  Random& random_;
  std::vector<Frame> frames_;
  Trace trace_;
};

}  // namespace bonsai::fuzz
