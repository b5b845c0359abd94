// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/concrete.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

#include "tests/fuzz/concrete_alu.h"

namespace bonsai::fuzz {
namespace {

using object::Ref;
using object::RefKind;
using Kind = Cell::Kind;

constexpr int kMaxSteps = 4000;
constexpr size_t kMaxFrames = 8;  // a kernel's limit
constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr uint8_t kMemSx = 0x80;

}  // namespace

Trace Machine::Run() {
  if (object_.functions.empty() || !Enter(0, {Cell{.kind = Kind::kContext}})) return {};
  for (int step = 0; step < kMaxSteps && !frames_.empty(); ++step) {
    if (!Step()) break;
  }
  return std::move(trace_);
}

// Small numbers more often than not: they are what programs compare with.
uint64_t Machine::Any() {
  const uint64_t bits = uint64_t{random_()} << 32 ^ uint64_t{random_()} << 8 ^ random_();
  return random_() % 2 ? bits : bits % 5;
}

bool Machine::Enter(uint32_t function, const std::vector<Cell>& arguments) {
  const auto running = [&](const Frame& frame) { return frame.function == function; };
  if (frames_.size() >= kMaxFrames || std::any_of(frames_.begin(), frames_.end(), running)) {
    return false;
  }
  Frame frame{.function = function};
  std::copy(arguments.begin(), arguments.end(), frame.registers.begin() + 1);
  frame.registers[10] = {.kind = Kind::kStack, .index = static_cast<uint32_t>(frames_.size())};
  for (uint8_t& byte : frame.bytes) byte = static_cast<uint8_t>(random_());
  frames_.push_back(frame);
  return true;
}

std::optional<Ref> Machine::RefHere() const {
  const Frame& here = frames_.back();
  const auto& refs = object_.functions[here.function].refs;
  const auto found = std::find_if(refs.begin(), refs.end(),
                                  [&](const Ref& ref) { return ref.slot == here.slot; });
  return found == refs.end() ? std::nullopt : std::optional<Ref>(*found);
}

bool Machine::Step() {
  const auto& insns = object_.functions[Here().function].insns;
  if (Here().slot >= insns.size()) return false;
  const Insn insn = insns[Here().slot];
  if (insn.dst > 10 || insn.src > 10) return false;
  trace_.slots.emplace(Here().function, Here().slot);
  const uint8_t kind = insn.opcode & 0x07;
  switch (kind) {
    case BPF_ALU: case BPF_ALU64:
      if (insn.dst == 10 || !StepAlu(insn)) return false;
      break;
    case BPF_LD:
      if (insn.dst == 10 || !StepLoadImm64(insn)) return false;
      break;
    case BPF_LDX: case BPF_ST: case BPF_STX:
      if (!StepMemory(insn)) return false;
      break;
    default:
      return StepJump(insn);
  }
  ++Here().slot;
  return true;
}

bool Machine::StepAlu(const Insn& insn) {
  const bool by_register = (insn.opcode & BPF_X) != 0;
  const uint8_t op = insn.opcode & 0xf0;
  const bool unary = op == BPF_NEG || op == BPF_END;
  const Cell src = by_register && !unary ? Reg(insn.src)
                                         : Cell::Of(static_cast<uint64_t>(int64_t{insn.imm}));
  const Cell dst = op == BPF_MOV ? Cell::Of(0) : Reg(insn.dst);
  if (src.kind == Kind::kUninitialised || dst.kind == Kind::kUninitialised) return false;
  if (!src.IsNumber() || !dst.IsNumber()) return StepPointer(insn, src);
  const auto result = ConcreteAlu(insn, dst.value, src.value);
  if (!result) return false;
  Reg(insn.dst) = Cell::Of(*result);
  return true;
}

bool Machine::StepPointer(const Insn& insn, const Cell& src) {
  if ((insn.opcode & 0x07) != BPF_ALU64 || insn.offset != 0) return false;
  Cell& dst = Reg(insn.dst);
  const uint8_t op = insn.opcode & 0xf0;
  if (op == BPF_MOV) {
    dst = src;
    return true;
  }
  Cell pointer = dst.IsNumber() ? src : dst;
  const Cell number = dst.IsNumber() ? dst : src;
  if (!number.IsNumber() || (op != BPF_ADD && (op != BPF_SUB || dst.IsNumber()))) return false;
  if (pointer.kind != Kind::kStack && pointer.kind != Kind::kData) return false;
  pointer.value = op == BPF_ADD ? pointer.value + number.value : pointer.value - number.value;
  const auto offset = static_cast<int64_t>(pointer.value);
  if (offset > 1 << 20 || offset < -(1 << 20)) return false;
  dst = pointer;
  return true;
}

bool Machine::StepLoadImm64(const Insn& insn) {
  const auto& insns = object_.functions[Here().function].insns;
  if (insn.opcode != kLoadImm64 || Here().slot + 1 >= insns.size()) return false;
  const Insn& second = insns[Here().slot + 1];
  if (second.opcode != 0 || second.dst != 0 || second.src != 0 || second.offset != 0) return false;
  Cell& dst = Reg(insn.dst);
  const auto ref = RefHere();
  if (!ref) {
    if (insn.src != 0) return false;
    dst = Cell::Of(uint64_t{static_cast<uint32_t>(second.imm)} << 32 |
                   static_cast<uint32_t>(insn.imm));
  } else if (ref->kind == RefKind::kMap) {
    dst = {.kind = Kind::kMap, .index = ref->index};
    trace_.maps.insert(ref->index);
  } else if (ref->kind == RefKind::kData) {
    dst = {.kind = Kind::kData, .index = ref->index, .value = static_cast<uint64_t>(ref->offset)};
  } else if (ref->kind == RefKind::kFunctionAddress) {
    dst = {.kind = Kind::kFunction, .index = ref->index};
  } else {
    dst = {.kind = Kind::kForeign};
  }
  ++Here().slot;
  return true;
}

bool Machine::Load(const Cell& base, int64_t offset, uint32_t size, Cell& result) {
  const int64_t at = static_cast<int64_t>(base.value) + offset;
  uint64_t raw = 0;
  switch (base.kind) {
    case Kind::kContext: case Kind::kForeign:
      raw = Any();
      if (size < 8) raw &= (uint64_t{1} << 8 * size) - 1;
      break;
    case Kind::kData: {
      const object::DataSection& data = object_.data_sections[base.index];
      if (at < 0 || at + size > static_cast<int64_t>(data.bytes.size())) return false;
      std::memcpy(&raw, data.bytes.data() + at, size);
      if (!data.read_only) {  // written by others at any time
        const uint64_t now = Any();
        std::memcpy(&raw, &now, size);
      }
      break;
    }
    case Kind::kStack: {
      const Frame& frame = frames_[base.index];
      const int64_t first = at + kFrameBytes;
      if (first < 0 || first + size > kFrameBytes) return false;
      for (int64_t i = first / 8; i <= (first + size - 1) / 8; ++i) {
        if (!frame.pointers[i]) continue;
        if (size != 8 || first % 8 != 0) return false;
        result = frame.spills[i];
        return true;
      }
      std::memcpy(&raw, frame.bytes.data() + first, size);
      break;
    }
    default:
      return false;
  }
  result = Cell::Of(raw);
  return true;
}

bool Machine::Store(const Cell& base, int64_t offset, uint32_t size, const Cell& value) {
  if (value.kind == Kind::kUninitialised) return false;
  const int64_t at = static_cast<int64_t>(base.value) + offset;
  if (base.kind == Kind::kForeign) return value.IsNumber();
  if (base.kind == Kind::kData) {
    const object::DataSection& data = object_.data_sections[base.index];
    return value.IsNumber() && !data.read_only && at >= 0 &&
           at + size <= static_cast<int64_t>(data.bytes.size());
  }
  if (base.kind != Kind::kStack) return false;
  Frame& frame = frames_[base.index];
  const int64_t first = at + kFrameBytes;
  if (first < 0 || first + size > kFrameBytes) return false;
  const bool spill = !value.IsNumber();
  if (spill && (size != 8 || first % 8 != 0)) return false;
  // No pointer into a stack goes into the frame of a caller.
  if (value.kind == Kind::kStack && base.index + 1 != frames_.size()) return false;
  for (int64_t i = first / 8; i <= (first + size - 1) / 8; ++i) frame.pointers[i] = spill;
  if (spill) frame.spills[first / 8] = value;
  std::memcpy(frame.bytes.data() + first, &value.value, size);
  return true;
}

bool Machine::StepMemory(const Insn& insn) {
  constexpr std::array<uint32_t, 4> kSizes{4, 2, 1, 8};
  const uint32_t size = kSizes[insn.opcode >> 3 & 3];
  const uint8_t kind = insn.opcode & 0x07, mode = insn.opcode & 0xe0;
  if (kind == BPF_STX && mode == BPF_ATOMIC) return StepAtomic(insn);
  if (kind == BPF_LDX) {
    if (insn.dst == 10 || (mode != BPF_MEM && (mode != kMemSx || size == 8))) return false;
    Cell loaded;
    if (!Load(Reg(insn.src), insn.offset, size, loaded)) return false;
    if (mode == kMemSx) loaded.value = SignExtended(loaded.value, size * 8);
    Reg(insn.dst) = loaded;
    return true;
  }
  if (mode != BPF_MEM) return false;
  const Cell value = kind == BPF_STX ? Reg(insn.src)
                                     : Cell::Of(static_cast<uint64_t>(int64_t{insn.imm}));
  return Store(Reg(insn.dst), insn.offset, size, value);
}

bool Machine::StepAtomic(const Insn& insn) {
  const bool wide = (insn.opcode & 0x18) == BPF_DW;
  const uint32_t size = wide ? 8 : 4;
  if (!wide && (insn.opcode & 0x18) != BPF_W) return false;
  const Cell base = Reg(insn.dst), src = Reg(insn.src);
  Cell before;
  if (insn.imm == 0x100) {  // load-acquire: dst and src the other way round
    if (insn.dst == 10 || !Load(src, insn.offset, size, before)) return false;
    Reg(insn.dst) = before;
    return true;
  }
  if (insn.imm == 0x110) return Store(base, insn.offset, size, src);
  if (base.kind != Kind::kStack || !src.IsNumber() || insn.src == 10) return false;
  if (!Load(base, insn.offset, size, before) || !before.IsNumber()) return false;
  const auto narrow = [&](uint64_t value) { return wide ? value : static_cast<uint32_t>(value); };
  uint64_t after = 0;
  switch (insn.imm & ~BPF_FETCH) {
    case BPF_ADD: after = before.value + src.value; break;
    case BPF_AND: after = before.value & src.value; break;
    case BPF_OR: after = before.value | src.value; break;
    case BPF_XOR: after = before.value ^ src.value; break;
    case BPF_XCHG & ~BPF_FETCH: after = src.value; break;
    case BPF_CMPXCHG & ~BPF_FETCH:
      if (!Reg(0).IsNumber()) return false;
      after = before.value == narrow(Reg(0).value) ? src.value : before.value;
      break;
    default: return false;
  }
  if ((insn.imm & 0xf0) >= 0xe0 && !(insn.imm & BPF_FETCH)) return false;
  if (!Store(base, insn.offset, size, Cell::Of(after))) return false;
  if (insn.imm == BPF_CMPXCHG) {
    Reg(0) = before;
  } else if (insn.imm & BPF_FETCH) {
    Reg(insn.src) = before;
  }
  return true;
}

}  // namespace bonsai::fuzz
