// SPDX-License-Identifier: Apache-2.0
// What one instruction does to registers and stack.
#include <cstring>

#include "agent/reachability/alu.h"
#include "agent/reachability/engine.h"

namespace bonsai::reachability {
namespace {

using object::Ref;
using object::RefKind;

Number SignedConst(int64_t value) { return Number::Const(static_cast<uint64_t>(value)); }

bool HasOffset(Kind kind) {
  return kind == Kind::kStack || kind == Kind::kCaller || kind == Kind::kData;
}

}  // namespace

void Engine::Step(const Insn& insn, const Insn* second, const Ref* ref) {
  const bool rewritten = ref != nullptr && ref->kind == RefKind::kCore;
  switch (ClassOf(insn)) {
    case BPF_ALU: case BPF_ALU64:
      StepAlu(insn, rewritten);
      return;
    case BPF_LD:
      if (second != nullptr) {
        StepLoadImm64(insn, *second, ref);
        return;
      }
      // BPF_ABS, BPF_IND: a helper call that ends the function with 0 when it fails.
      MergeResult(Value::Of(Number::Const(0)));
      EndCall(Value::Any());
      return;
    case BPF_LDX:
      StepLoad(insn, rewritten);
      return;
    case BPF_ST: case BPF_STX:
      StepStore(insn, rewritten);
      return;
    default:  // a helper or kfunc call: other jumps end their block
      if (insn.src == 0) {
        CallHelper(insn);
      } else {
        CallKfunc();
      }
  }
}

void Engine::StepAlu(const Insn& insn, bool rewritten) {
  const bool wide = ClassOf(insn) == BPF_ALU64;
  Value& dst = state_.registers[insn.dst];
  Value src = rewritten            ? Value::Any()
              : UsesRegister(insn) ? state_.registers[insn.src]
                                   : Value::Of(SignedConst(insn.imm));
  switch (OpOf(insn)) {
    case BPF_MOV:
      if (insn.offset == 8 || insn.offset == 16 || insn.offset == 32) {
        const auto bits = static_cast<uint32_t>(insn.offset);
        dst = Map(src, [&](const Number& n) { return SignExtend(n, bits, wide); });
      } else if (insn.offset != 0) {
        dst = Value::OfKind(Kind::kUnknown);  // a cast between address spaces
      } else {
        dst = wide ? src : Map(src, Low32);
      }
      return;
    case BPF_END: {
      const auto bits = static_cast<uint32_t>(insn.imm);
      // To little endian is what we have: only the width changes.
      const bool swap = wide || UsesRegister(insn);
      dst = Map(dst, [&](const Number& n) {
        return swap ? ByteSwap(n, bits) : LowBytes(n, bits / 8);
      });
      return;
    }
    case BPF_ADD: case BPF_SUB:
      if (wide && !(dst.IsNumber() && src.IsNumber())) {
        dst = Add(dst, src, OpOf(insn) == BPF_SUB);
        return;
      }
      break;
    case BPF_NEG:
      src = Value::Of(Number::Const(0));  // it has none
      break;
    default:
      break;
  }
  dst = Arithmetic(insn, dst, src);
}

template <typename Operation>
Value Engine::Map(const Value& value, Operation operation) {
  if (value.set == 0) return Value::Of(operation(value.AsNumber()), value.origin);
  ValueSet results;
  for (const uint64_t member : tables_.sets.Of(value.set)) {
    results.Add(operation(Number::Const(member)).value());
  }
  return tables_.OneOf(results, value.origin);
}

Value Engine::Arithmetic(const Insn& insn, const Value& left, const Value& right) {
  const bool wide = ClassOf(insn) == BPF_ALU64;
  const Number number = Alu(OpOf(insn), wide, left.AsNumber(), right.AsNumber());
  Value result = Value::Of(number);
  if (number.IsAny()) return result;
  result.origin = tables_.provenance.Union(left.origin, right.origin);
  ValueSet lefts, rights, results;
  if ((left.set == 0 && right.set == 0) || !tables_.Members(left, lefts) ||
      !tables_.Members(right, rights)) {
    return result;
  }
  for (const uint64_t x : lefts) {
    for (const uint64_t y : rights) {
      const Number one = Alu(OpOf(insn), wide, Number::Const(x), Number::Const(y));
      // Too many, or one that is not followed (a division, a shift out of range).
      if (!one.IsConst() || !results.Add(one.value())) return result;
    }
  }
  return tables_.OneOf(results, result.origin);
}

// Pointer arithmetic. SOUND: what is neither added to nor subtracted from a pointer is no pointer
// any more; the verifier lets no program use it as one.
Value Engine::Add(const Value& left, const Value& right, bool subtract) {
  const uint8_t op = subtract ? BPF_SUB : BPF_ADD;
  if (HasOffset(left.kind) && right.IsNumber()) {
    Value sum = left;
    sum.number = Alu(op, true, left.number, right.number);
    return sum;
  }
  if (!subtract && HasOffset(right.kind) && left.IsNumber()) {
    Value sum = right;
    sum.number = Alu(op, true, right.number, left.number);
    return sum;
  }
  for (const Value* side : {&left, &right}) {
    if (side->MayPointToOwnStack()) return Value::OfKind(Kind::kUnknown);
  }
  if (left.MayPointToStack() || right.MayPointToStack()) return Value::OfKind(Kind::kForeign);
  return Value::Any();
}

void Engine::StepLoadImm64(const Insn& insn, const Insn& second, const Ref* ref) {
  Value& dst = state_.registers[insn.dst];
  if (ref == nullptr) {
    const uint64_t low = static_cast<uint32_t>(insn.imm);
    const uint64_t high = static_cast<uint32_t>(second.imm);
    // An address that is in the code already (never in an object file) is just unknown.
    dst = insn.src == 0 ? Value::Of(Number::Const(high << 32 | low)) : Value::Any();
    return;
  }
  switch (ref->kind) {
    case RefKind::kMap:
      dst = Value::Pointer(Kind::kMap, ref->index, 0);
      return;
    case RefKind::kData:
      dst = Value::Pointer(Kind::kData, ref->index, ref->offset);
      return;
    case RefKind::kFunctionAddress: {
      // SOUND: a function whose address is known may be called, with anything, at any time.
      Arguments anything;
      anything.fill(Value::OfKind(Kind::kForeign));
      dst = Value::Pointer(Kind::kFunction, ref->index, 0);
      AddCallee(ContextFor(ref->index, anything));
      return;
    }
    default:  // extern, arena, rewritten at load
      dst = Value::Any();
  }
}

Value Engine::LoadData(uint32_t section, const Number& offset, uint32_t size) {
  const object::DataSection& data = object_.data_sections[section];
  const Value unread = Value::Of(Number::OfSize(size));
  // SOUND: only read-only sections are facts: they are frozen before the program is loaded. At a
  // variable offset the verifier knows nothing either.
  if (!data.read_only || !offset.IsConst()) return unread;
  const std::vector<uint8_t>& bytes = constants_.sections.at(section);
  const uint64_t at = offset.value();
  if (at > bytes.size() || bytes.size() - at < size) return unread;
  uint64_t raw = 0;
  std::memcpy(&raw, bytes.data() + at, size);
  std::vector<Origin>& origins = origins_[section];
  if (origins.empty()) {
    origins.resize(bytes.size());
    for (uint32_t i = 0; i < object_.constants.size(); ++i) {
      const object::Constant& constant = object_.constants[i];
      if (constant.section != section) continue;
      const Origin origin = tables_.provenance.Of(i);
      const uint64_t end = std::min<uint64_t>(uint64_t{constant.offset} + constant.size, bytes.size());
      for (uint64_t byte = constant.offset; byte < end; ++byte) origins[byte] = origin;
    }
  }
  return Value::Of(Number::Const(raw), origins[at]);
}

Value Engine::LoadFrom(const Value& base, int32_t offset, uint32_t size) {
  switch (base.kind) {
    case Kind::kStack:
      return state_.stack.Load(Alu(BPF_ADD, true, base.number, SignedConst(offset)), size);
    case Kind::kData:
      return LoadData(base.index, Alu(BPF_ADD, true, base.number, SignedConst(offset)), size);
    case Kind::kCaller: case Kind::kForeign:
      // SOUND: frames above hold no pointer into this one: the verifier forbids storing it there.
      return size == 8 ? Value::OfKind(Kind::kForeign) : Value::Of(Number::OfSize(size));
    case Kind::kUnknown:
      return size == 8 ? Value::OfKind(Kind::kUnknown) : Value::Of(Number::OfSize(size));
    default:
      return Value::Of(Number::OfSize(size));
  }
}

void Engine::StoreTo(const Value& base, int32_t offset, uint32_t size, const Value& value) {
  const Number at = Alu(BPF_ADD, true, base.number, SignedConst(offset));
  switch (base.kind) {
    case Kind::kStack:
      state_.stack.Store(at, size, value);
      return;
    case Kind::kCaller:
      MergeWrites(SlotsBetween(at.b64.smin, at.b64.smax, size), false);
      return;
    case Kind::kForeign:
      MergeWrites(~SlotSet{0}, true);
      return;
    case Kind::kUnknown:
      WriteAnywhere();
      return;
    default:  // not a stack
      return;
  }
}

void Engine::StepLoad(const Insn& insn, bool rewritten) {
  const uint32_t size = SizeOf(insn);
  const Value base = state_.registers[insn.src];
  Value& dst = state_.registers[insn.dst];
  if (rewritten) {  // offset and width are libbpf's to choose
    dst = base.MayPointToStack() ? Value::OfKind(Kind::kUnknown) : Value::Any();
    return;
  }
  dst = LoadFrom(base, insn.offset, size);
  if (ModeOf(insn) == kModeMemSx) {
    dst = Value::Of(SignExtend(dst.AsNumber(), size * 8, true), dst.origin);
  }
}

void Engine::StepStore(const Insn& insn, bool rewritten) {
  if (ClassOf(insn) == BPF_STX && ModeOf(insn) == BPF_ATOMIC) {
    StepAtomic(insn);
    return;
  }
  const Value base = state_.registers[insn.dst];
  if (rewritten) {
    if (base.MayPointToStack()) WriteAnywhere();
    return;
  }
  const Value value = ClassOf(insn) == BPF_STX ? state_.registers[insn.src]
                                               : Value::Of(SignedConst(insn.imm));
  StoreTo(base, insn.offset, SizeOf(insn), value);
}

void Engine::StepAtomic(const Insn& insn) {
  const uint32_t size = SizeOf(insn);
  if (insn.imm == kLoadAcquire) {
    state_.registers[insn.dst] = LoadFrom(state_.registers[insn.src], insn.offset, size);
    return;
  }
  const Value base = state_.registers[insn.dst];
  if (insn.imm == kStoreRelease) {
    StoreTo(base, insn.offset, size, state_.registers[insn.src]);
    return;
  }
  const Value before = LoadFrom(base, insn.offset, size);
  // SOUND: what an atomic leaves in memory is not followed: any number of that width. A pointer can
  // be exchanged into memory, though.
  const bool exchange = insn.imm == BPF_XCHG || insn.imm == BPF_CMPXCHG;
  const Value& src = state_.registers[insn.src];
  const bool pointer = exchange && (src.MayPointToStack() || before.MayPointToStack());
  StoreTo(base, insn.offset, size,
          pointer ? Value::OfKind(Kind::kUnknown) : Value::Of(Number::OfSize(size)));
  // SOUND: a compare-and-exchange writes r0, every other fetching atomic its source register.
  if (insn.imm == BPF_CMPXCHG) {
    state_.registers[BPF_REG_0] = before;
  } else if (insn.imm & BPF_FETCH) {
    state_.registers[insn.src] = before;
  }
}

}  // namespace bonsai::reachability
