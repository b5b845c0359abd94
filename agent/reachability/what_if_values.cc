// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/what_if_values.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>

#include "agent/reachability/cfg.h"

namespace bonsai::reachability {
namespace {

using object::Constant;
using object::ObjectSpec;
using object::Ref;
using object::RefKind;

constexpr uint32_t kLookAhead = 128;  // instructions in which an address is to be used up
constexpr uint32_t kLookBack = 8;     // instructions in which a number may be set
constexpr uint32_t kFollowed = 96;    // instructions after a load that are looked at
constexpr size_t kMaxLimits = 64;     // of one constant

int64_t SignExtended(uint64_t bits, uint32_t bytes) {
  const uint32_t shift = 64 - bytes * 8;
  return static_cast<int64_t>(bits << shift) >> shift;
}

// As a value of the constant's type.
int64_t Fit(const Constant& constant, int64_t value) {
  if (constant.is_signed) return SignExtended(static_cast<uint64_t>(value), constant.size);
  if (constant.size == 8) return value;
  return static_cast<int64_t>(static_cast<uint64_t>(value) &
                              ((uint64_t{1} << (constant.size * 8)) - 1));
}

// u64 stops where constants::Override() does.
int64_t Highest(const Constant& constant) {
  const uint32_t bits = constant.size * 8 - (constant.is_signed || constant.size == 8 ? 1 : 0);
  return constant.max.value_or(static_cast<int64_t>((uint64_t{1} << bits) - 1));
}

int64_t Lowest(const Constant& constant) {
  if (constant.min) return *constant.min;
  if (!constant.is_signed) return 0;
  return SignExtended(uint64_t{1} << (constant.size * 8 - 1), constant.size);
}

// One value on each side of a comparison with `imm`.
std::vector<int64_t> Sides(uint8_t op, int64_t imm) {
  const auto next = [&](uint64_t by) {
    return static_cast<int64_t>(static_cast<uint64_t>(imm) + by);
  };
  switch (op) {
    case BPF_JGT: case BPF_JLE: case BPF_JSGT: case BPF_JSLE:
      return {imm, next(1)};
    case BPF_JGE: case BPF_JLT: case BPF_JSGE: case BPF_JSLT:
      return {next(UINT64_MAX), imm};
    default:
      return {imm};
  }
}

// What a register was set to shortly before, as the code stands.
std::optional<int64_t> NumberBefore(const object::Insns& insns, uint32_t slot, int reg) {
  const uint32_t first = slot - std::min(slot, kLookBack);
  while (slot-- > first) {
    const Insn& insn = insns[slot];
    if (insn.dst != reg || insn.opcode == 0) continue;
    if (IsLoadImm64(insn) && insn.src == 0) {
      return static_cast<int64_t>(uint64_t{static_cast<uint32_t>(insns[slot + 1].imm)} << 32 |
                                  static_cast<uint32_t>(insn.imm));
    }
    const bool mov = (insn.opcode & ~7) == (BPF_MOV | BPF_K) &&
                     (ClassOf(insn) == BPF_ALU || ClassOf(insn) == BPF_ALU64);
    if (mov) return insn.imm;
    if (ClassOf(insn) != BPF_STX && ClassOf(insn) != BPF_ST) return std::nullopt;
  }
  return std::nullopt;
}

bool IsLoad(const Insn& insn) {
  return ClassOf(insn) == BPF_LDX && (ModeOf(insn) == BPF_MEM || ModeOf(insn) == kModeMemSx);
}

bool IsAlu(const Insn& insn) { return ClassOf(insn) == BPF_ALU || ClassOf(insn) == BPF_ALU64; }

// What a path knows of a constant that was loaded into a register.
struct Trace {
  uint32_t slot = 0;
  RegisterSet holds = 0;   // registers that have it, changed by what is below
  int64_t shift = 0;       // to the right
  uint32_t swapped = 0;    // bits of which the bytes are reversed

  bool Holds(int reg) const { return (holds >> reg & 1) != 0; }
  void Set(int reg, bool held) {
    holds = static_cast<RegisterSet>(held ? holds | 1u << reg : holds & ~(1u << reg));
  }
  // The constant for which the register has this value.
  int64_t Undo(int64_t value) const {
    auto bits = static_cast<uint64_t>(value);
    if (swapped == 16) bits = __builtin_bswap16(static_cast<uint16_t>(bits));
    if (swapped == 32) bits = __builtin_bswap32(static_cast<uint32_t>(bits));
    if (swapped == 64) bits = __builtin_bswap64(bits);
    if (shift >= 64 || shift <= -64) return 0;
    return static_cast<int64_t>(shift >= 0 ? bits << shift : bits >> -shift);
  }
  void AddLimits(const object::Insns& insns, std::vector<int64_t>& limits) const;
  void Step(const Insn& insn);
  void StepAlu(const Insn& insn);
};

// Values of the constant on which the instruction turns.
void Trace::AddLimits(const object::Insns& insns, std::vector<int64_t>& limits) const {
  const Insn& insn = insns[slot];
  if (!Holds(insn.dst)) return;
  const std::optional<int64_t> other = UsesRegister(insn) ? NumberBefore(insns, slot, insn.src)
                                                          : std::optional<int64_t>(insn.imm);
  if (!other) return;
  if (FlowOf(insn) == Flow::kBranch) {
    for (const int64_t side : Sides(OpOf(insn), *other)) limits.push_back(Undo(side));
  } else if (IsAlu(insn) && OpOf(insn) == BPF_AND) {
    limits.push_back(Undo(*other));
  }
}

void Trace::Step(const Insn& insn) {
  if (IsAlu(insn)) {
    StepAlu(insn);
  } else if (ClassOf(insn) == BPF_LDX || ClassOf(insn) == BPF_LD) {
    Set(insn.dst, false);
  } else if (ClassOf(insn) == BPF_JMP && OpOf(insn) == BPF_CALL) {
    for (int reg = BPF_REG_0; reg <= BPF_REG_5; ++reg) Set(reg, false);
  }
}

void Trace::StepAlu(const Insn& insn) {
  const bool from = UsesRegister(insn) && OpOf(insn) != BPF_END && Holds(insn.src);
  switch (OpOf(insn)) {
    case BPF_MOV:
      Set(insn.dst, from);
      return;
    case BPF_LSH: case BPF_RSH: case BPF_ARSH:
      if (!Holds(insn.dst) || UsesRegister(insn)) return Set(insn.dst, false);
      shift += OpOf(insn) == BPF_LSH ? -int64_t{insn.imm} : int64_t{insn.imm};
      return;
    case BPF_END:
      if (Holds(insn.dst)) swapped = swapped == 0 ? static_cast<uint32_t>(insn.imm) : 0;
      return;
    case BPF_AND: case BPF_OR: case BPF_XOR:
      if (from) Set(insn.dst, true);
      return;
    default:
      Set(insn.dst, false);
  }
}

}  // namespace

int64_t ValueOf(const Constant& constant, const constants::ConstantSet& constants) {
  uint64_t bits = 0;
  std::memcpy(&bits, constants.sections.at(constant.section).data() + constant.offset,
              constant.size);
  return constant.is_signed ? SignExtended(bits, constant.size) : static_cast<int64_t>(bits);
}

Candidates::Candidates(const ObjectSpec& object)
    : object_(object), by_section_(object.data_sections.size()), limits_(object.constants.size()) {
  for (uint32_t i = 0; i < object.constants.size(); ++i) {
    by_section_[object.constants[i].section].push_back(i);
  }
  for (std::vector<uint32_t>& constants : by_section_) {
    std::sort(constants.begin(), constants.end(), [&](uint32_t a, uint32_t b) {
      return object.constants[a].offset < object.constants[b].offset;
    });
  }
  for (uint32_t i = 0; i < object.functions.size(); ++i) AddAccesses(i);
}

std::vector<uint32_t> Candidates::ConstantsIn(uint32_t section, int64_t begin, int64_t end) const {
  std::vector<uint32_t> found;
  const std::vector<uint32_t>& all = by_section_[section];
  auto it = std::partition_point(all.begin(), all.end(), [&](uint32_t i) {
    return int64_t{object_.constants[i].offset} + object_.constants[i].size <= begin;
  });
  for (; it != all.end() && object_.constants[*it].offset < end; ++it) found.push_back(*it);
  return found;
}

void Candidates::AddAccesses(uint32_t index) {
  for (const Ref& ref : object_.functions[index].refs) {
    if (ref.kind != RefKind::kData || !object_.data_sections[ref.index].read_only) continue;
    accesses_.push_back(AccessBy(index, ref));
  }
}

// SOUND (of Read()): an address counts as one of its whole section unless, on all paths from where
// it is made, it is used for loads only until its register is written again.
Candidates::Access Candidates::AccessBy(uint32_t index, const Ref& ref) {
  const object::Insns& insns = object_.functions[index].insns;
  const auto reg = static_cast<RegisterSet>(1u << insns[ref.slot].dst);
  Access access{.function = index, .slot = ref.slot, .section = ref.index,
                .begin = INT64_MAX, .end = INT64_MIN, .exact = true};
  std::vector<uint32_t> left{ref.slot + 2};
  for (size_t i = 0; i < left.size() && access.exact; ++i) {
    const uint32_t slot = left[i];
    const Insn insn = slot < insns.size() ? insns[slot] : Insn{};
    const Flow flow = FlowOf(insn);
    reachability::Access one;
    if (flow != Flow::kUnknown) one.Add(insn);
    if (IsLoad(insn) && (1u << insn.src) == reg) {
      access.exact = AddLoad(index, slot, ref, access);
    } else {
      access.exact = flow != Flow::kUnknown && (one.reads & reg) == 0 && i < kLookAhead;
    }
    if (flow == Flow::kExit || (one.writes & reg) != 0) continue;
    const auto add = [&](int64_t to) {
      const auto at = static_cast<uint32_t>(std::clamp<int64_t>(to, 0, UINT32_MAX));
      if (std::find(left.begin(), left.end(), at) == left.end()) left.push_back(at);
    };
    if (flow != Flow::kJump) add(int64_t{slot} + (IsLoadImm64(insn) ? 2 : 1));
    if (HasTarget(flow)) add(TargetOf(insn, slot));
  }
  return access;
}

// False: where it loads from is only known to libbpf.
bool Candidates::AddLoad(uint32_t index, uint32_t slot, const Ref& ref, Access& access) {
  const object::Function& function = object_.functions[index];
  const auto other = std::lower_bound(function.refs.begin(), function.refs.end(), slot,
                                      [](const Ref& r, uint32_t s) { return r.slot < s; });
  if (other != function.refs.end() && other->slot == slot) return false;
  const int64_t begin = ref.offset + function.insns[slot].offset;
  const int64_t end = begin + SizeOf(function.insns[slot]);
  access.begin = std::min(access.begin, begin);
  access.end = std::max(access.end, end);
  for (const uint32_t constant : ConstantsIn(ref.index, begin, end)) {
    FollowLoad(index, slot, constant);
  }
  return true;
}

// What the value is compared with on the paths from here.
void Candidates::FollowLoad(uint32_t index, uint32_t slot, uint32_t constant) {
  const object::Insns& insns = object_.functions[index].insns;
  std::vector<int64_t>& limits = limits_[constant];
  Trace first{.slot = slot + 1};
  first.Set(insns[slot].dst, true);
  std::deque<Trace> left{first};
  for (uint32_t i = 0; i < kFollowed && !left.empty() && limits.size() < kMaxLimits; ++i) {
    Trace trace = left.front();
    left.pop_front();
    if (trace.slot >= insns.size() || trace.holds == 0) continue;
    const Insn& insn = insns[trace.slot];
    const Flow flow = FlowOf(insn);
    if (flow == Flow::kExit || flow == Flow::kUnknown) continue;
    trace.AddLimits(insns, limits);
    trace.Step(insn);
    const int64_t target = TargetOf(insn, trace.slot);
    trace.slot += IsLoadImm64(insn) ? 2 : 1;
    if (flow != Flow::kJump) left.push_front(trace);
    if (!HasTarget(flow)) continue;
    trace.slot = static_cast<uint32_t>(std::clamp<int64_t>(target, 0, UINT32_MAX));
    left.push_back(trace);
  }
}

std::vector<bool> Candidates::Read(const Liveness& liveness) const {
  std::vector<bool> read(object_.constants.size(), false);
  for (const Access& access : accesses_) {
    if (!liveness.functions[access.function].live_slots[access.slot]) continue;
    const int64_t begin = access.exact ? access.begin : INT64_MIN;
    const int64_t end = access.exact ? access.end : INT64_MAX;
    for (const uint32_t constant : ConstantsIn(access.section, begin, end)) read[constant] = true;
  }
  return read;
}

std::vector<int64_t> Candidates::Of(uint32_t index, const constants::ConstantSet& constants,
                                    const Liveness& liveness, uint32_t limit) const {
  const Constant& constant = object_.constants[index];
  if (!constant.is_integer) return {};
  const int64_t current = ValueOf(constant, constants);
  if (constant.is_bool) return {current == 0 ? 1 : 0};
  std::vector<int64_t> wanted{0, Highest(constant)};
  wanted.insert(wanted.end(), limits_[index].begin(), limits_[index].end());
  AddDecided(index, liveness, wanted);
  wanted.push_back(Lowest(constant));
  std::vector<int64_t> values;
  for (const int64_t raw : wanted) {
    const int64_t value = Fit(constant, raw);
    const bool known = std::find(values.begin(), values.end(), value) != values.end();
    const bool fits = value >= Lowest(constant) && value <= Highest(constant);
    if (fits && !known && value != current && values.size() < limit) values.push_back(value);
  }
  return values;
}

// What branches that rest on the constant compare with, however it got there.
void Candidates::AddDecided(uint32_t index, const Liveness& liveness,
                            std::vector<int64_t>& values) const {
  for (const Decision& decision : liveness.decisions) {
    const Insn& insn = object_.functions[decision.function].insns[decision.slot];
    const bool rests = std::find(decision.constants.begin(), decision.constants.end(), index) !=
                       decision.constants.end();
    if (!rests || UsesRegister(insn)) continue;
    for (const int64_t side : Sides(OpOf(insn), insn.imm)) values.push_back(side);
  }
}

}  // namespace bonsai::reachability
