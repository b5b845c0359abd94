// SPDX-License-Identifier: Apache-2.0
// What one instruction does to registers and stack.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "agent/reachability/engine.h"

namespace bonsai::reachability {

namespace {

using object::Ref;
using object::RefKind;

// SOUND: what is read as four bytes there is a pointer, which the verifier makes eight bytes of:
// convert_ctx_accesses() for struct __sk_buff and struct xdp_md of linux/bpf.h.
bool MayBePacketPointer(ContextKind kind, Scalar offset) {
  if (!offset.is_const) return true;
  const auto at = static_cast<int64_t>(offset.payload);
  const bool skb = at == offsetof(__sk_buff, data) || at == offsetof(__sk_buff, data_end) ||
                   at == offsetof(__sk_buff, data_meta);
  const bool xdp = at == offsetof(xdp_md, data) || at == offsetof(xdp_md, data_end) ||
                   at == offsetof(xdp_md, data_meta);
  switch (kind) {
    case ContextKind::kSkb: return skb;
    case ContextKind::kXdp: return xdp;
    case ContextKind::kWithout: return false;
    default: return skb || xdp;
  }
}

}  // namespace

void Engine::Step(const Insn& insn, const Ref* ref) {
  const bool rewritten = ref != nullptr && ref->kind == RefKind::kCore;
  switch (ClassOf(insn)) {
    case BPF_ALU: case BPF_ALU64:
      StepAlu(insn, rewritten);
      return;
    case BPF_LDX:
      StepLoad(insn, rewritten);
      return;
    case BPF_ST: case BPF_STX:
      StepStore(insn, rewritten);
      return;
    case BPF_LD:
      if (IsLoadImm64(insn)) {
        StepLoadImm64(insn, *(&insn + 1), ref);
        return;
      }
      // BPF_ABS, BPF_IND: a helper call that ends the function with 0 when it fails.
      MergeExit(state_, Value::Const(0));
      EndCall(Value::Any());
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
  Value& dst = state_.registers[insn.dst];
  if (insn.opcode == (BPF_ALU64 | BPF_MOV | BPF_X) && insn.offset == 0 && !rewritten) {
    dst = state_.registers[insn.src];
    return;
  }
  const Value src = rewritten            ? Value::Any()
                    : UsesRegister(insn) ? state_.registers[insn.src]
                                         : Value::Const(static_cast<uint64_t>(int64_t{insn.imm}));
  const bool wide = ClassOf(insn) == BPF_ALU64;
  switch (OpOf(insn)) {
    case BPF_MOV:
      StepMov(insn, src);
      return;
    case BPF_END: {
      const auto bits = static_cast<uint32_t>(insn.imm);
      // To little endian is what we have: only the width changes.
      const bool swap = wide || UsesRegister(insn);
      dst = Value::Of(swap ? tables_.numbers.ByteSwap(dst.AsNumber(), bits)
                           : tables_.numbers.LowBytes(dst.AsNumber(), bits / 8),
                      dst.origin);
      return;
    }
    case BPF_ADD: case BPF_SUB:
      if (wide && !(dst.IsNumber() && src.IsNumber())) {
        dst = Add(dst, src, OpOf(insn) == BPF_SUB);
        return;
      }
      break;
    case BPF_NEG:  // it has no source
      dst = Value::Of(tables_.numbers.Alu(insn.opcode, dst.AsNumber(), Scalar::Const(0)), dst.origin);
      return;
    default:
      break;
  }
  const Scalar result = tables_.numbers.Alu(insn.opcode, dst.AsNumber(), src.AsNumber());
  dst = Value::Of(result, tables_.provenance.Union(dst.origin, src.origin));
}

void Engine::StepMov(const Insn& insn, const Value& src) {
  Value& dst = state_.registers[insn.dst];
  const bool wide = ClassOf(insn) == BPF_ALU64;
  if (insn.offset == 8 || insn.offset == 16 || insn.offset == 32) {
    const auto bits = static_cast<uint32_t>(insn.offset);
    dst = Value::Of(tables_.numbers.SignExtend(src.AsNumber(), bits, wide), src.origin);
  } else if (insn.offset != 0) {
    dst = Value::OfKind(Kind::kUnknown);  // a cast between address spaces
  } else if (wide) {
    dst = src;
  } else {
    dst = Value::Of(tables_.numbers.LowBytes(src.AsNumber(), 4), src.origin);
  }
}

// Pointer arithmetic. SOUND: what is neither added to nor subtracted from a pointer is no pointer
// any more; the verifier lets no program use it as one.
Value Engine::Add(const Value& left, const Value& right, bool subtract) {
  const uint8_t opcode = BPF_ALU64 | (subtract ? BPF_SUB : BPF_ADD);
  if (left.HasOffset() && right.IsNumber()) {
    Value sum = left;
    sum.Set(tables_.numbers.Alu(opcode, left.scalar(), right.scalar()));
    return sum;
  }
  if (!subtract && right.HasOffset() && left.IsNumber()) {
    // The verifier takes a constant plus a pointer for one into the outermost frame
    // (adjust_ptr_min_max_vals() of kernel 6.18 leaves frameno as it was).
    if (right.kind == Kind::kStack && left.is_const) return Value::OfKind(Kind::kUnknown);
    Value sum = right;
    sum.Set(tables_.numbers.Alu(opcode, right.scalar(), left.scalar()));
    return sum;
  }
  for (const Value* side : {&left, &right}) {
    if (side->MayPointToVisible()) return Value::OfKind(Kind::kUnknown);
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
    dst = insn.src == 0 ? Value::Const(high << 32 | low) : Value::Any();
    return;
  }
  switch (ref->kind) {
    case RefKind::kMap:
      dst = Value::Pointer(Kind::kMap, ref->index, 0);
      return;
    case RefKind::kData:
      dst = Value::Pointer(Kind::kData, ref->index, ref->offset);
      return;
    case RefKind::kFunctionAddress:
      dst = Value::Pointer(Kind::kFunction, ref->index, 0);
      if (std::find(here_->taken.begin(), here_->taken.end(), ref->index) == here_->taken.end()) {
        here_->taken.push_back(ref->index);
      }
      return;
    default:  // extern, arena, rewritten at load
      dst = Value::Any();
  }
}

const std::vector<Origin>& Engine::OriginsOf(uint32_t section) {
  std::vector<Origin>& origins = origins_[section];
  const size_t size = constants_.sections.at(section).size();
  if (!origins.empty() || size == 0) return origins;
  origins.resize(size);
  for (uint32_t i = 0; i < object_.constants.size(); ++i) {
    const object::Constant& constant = object_.constants[i];
    if (constant.section != section) continue;
    const Origin origin = tables_.provenance.Of(i);
    const uint64_t end = std::min<uint64_t>(uint64_t{constant.offset} + constant.size, size);
    for (uint64_t byte = constant.offset; byte < end; ++byte) origins[byte] = origin;
  }
  return origins;
}

Value Engine::LoadDataAt(uint32_t section, uint64_t offset, uint32_t size) {
  const std::vector<uint8_t>& bytes = constants_.sections.at(section);
  if (offset > bytes.size() || bytes.size() - offset < size) return Value::Of(Scalar::OfSize(size));
  uint64_t raw = 0;
  std::memcpy(&raw, bytes.data() + offset, size);
  return Value::Const(raw, OriginsOf(section)[offset]);
}

Value Engine::LoadData(uint32_t section, Scalar offset, uint32_t size) {
  const Value unread = Value::Of(Scalar::OfSize(size));
  // SOUND: only read-only sections are facts: they are frozen before the program is loaded.
  if (!object_.data_sections[section].read_only) return unread;
  if (offset.is_const) return LoadDataAt(section, offset.payload, size);
  // One of a few places, which the verifier takes one by one. Of other variable offsets it knows
  // nothing either.
  ValueSet places;
  if (!tables_.numbers.HasSet(offset) || !tables_.numbers.Members(offset, places)) return unread;
  Value loaded = LoadDataAt(section, *places.begin(), size);
  for (const uint64_t place : places) {
    loaded = tables_.Join(loaded, LoadDataAt(section, place, size), false);
  }
  return loaded;
}

Scalar Engine::Shift(const Value& base, int32_t offset) {
  const auto by = static_cast<uint64_t>(int64_t{offset});
  if (base.is_const) return Scalar::Const(base.payload + by);
  return tables_.numbers.Alu(BPF_ALU64 | BPF_ADD, base.scalar(), Scalar::Const(by));
}

Value Engine::LoadFrom(const Value& base, int32_t offset, uint32_t size) {
  switch (base.kind) {
    case Kind::kStack:
      return state_.Frame(base.index).Load(Shift(base, offset), size, tables_);
    case Kind::kData:
      return LoadData(base.index, Shift(base, offset), size);
    case Kind::kForeign:
      // SOUND: frames that are not visible hold no pointer into one that is: the verifier forbids
      // storing it there.
      // Or it is the context: see there.
      return size == 8   ? Value::OfKind(Kind::kForeign)
             : size == 4 ? Value::Any()
                         : Value::Of(Scalar::OfSize(size));
    case Kind::kUnknown:
      return size == 8   ? Value::OfKind(Kind::kUnknown)
             : size == 4 ? Value::Any()
                         : Value::Of(Scalar::OfSize(size));
    case Kind::kContext:
      return size == 4 && MayBePacketPointer(static_cast<ContextKind>(base.index), Shift(base, offset))
                 ? Value::Any()
                 : Value::Of(Scalar::OfSize(size));
    default:
      return Value::Of(Scalar::OfSize(size));
  }
}

void Engine::StoreTo(const Value& base, int32_t offset, uint32_t size, const Value& value) {
  switch (base.kind) {
    case Kind::kStack:
      if (base.index >= state_.callers()) {
        state_.stack.Store(Shift(base, offset), size, value, tables_);
      } else {
        const Scalar at = Shift(base, offset);
        state_.ChangeFrame(base.index,
                           [&](Stack& frame) { frame.Store(at, size, value, tables_); });
      }
      return;
    case Kind::kForeign:
      ForeignWrite();
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
  const Value& base = state_.registers[insn.src];
  Value& dst = state_.registers[insn.dst];
  if (rewritten) {  // offset and width are libbpf's to choose
    dst = base.MayPointToStack() ? Value::OfKind(Kind::kUnknown) : Value::Any();
    return;
  }
  // Most go through a pointer to a packet, a map's value or the like.
  dst = base.IsNumber() ? Value::Of(Scalar::OfSize(size)) : LoadFrom(base, insn.offset, size);
  if (ModeOf(insn) == kModeMemSx) {
    dst = Value::Of(tables_.numbers.SignExtend(dst.AsNumber(), size * 8, true), dst.origin);
  }
}

void Engine::StepStore(const Insn& insn, bool rewritten) {
  if (ClassOf(insn) == BPF_STX && ModeOf(insn) == BPF_ATOMIC) {
    StepAtomic(insn);
    return;
  }
  const Value& base = state_.registers[insn.dst];
  if (rewritten) {
    if (base.MayPointToStack()) WriteAnywhere();
    return;
  }
  if (!base.MayPointToStack()) return;
  const Value value = ClassOf(insn) == BPF_STX
                          ? state_.registers[insn.src]
                          : Value::Const(static_cast<uint64_t>(int64_t{insn.imm}));
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
          pointer ? Value::OfKind(Kind::kUnknown) : Value::Of(Scalar::OfSize(size)));
  // SOUND: a compare-and-exchange writes r0, every other fetching atomic its source register.
  if (insn.imm == BPF_CMPXCHG) {
    state_.registers[BPF_REG_0] = before;
  } else if (insn.imm & BPF_FETCH) {
    state_.registers[insn.src] = before;
  }
}

}  // namespace bonsai::reachability
