// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/engine_input.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

namespace bonsai::fuzz {
namespace {

using object::Insn;
using object::Ref;
using object::RefKind;

constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr uint8_t kCall = BPF_JMP | BPF_CALL;

// What the relocation of an instruction would say, made up from its own immediate.
Ref RefOf(const Insn& insn, uint32_t functions) {
  const auto imm = static_cast<uint32_t>(insn.imm);
  const auto offset = static_cast<int64_t>(imm % kDataBytes);
  if (insn.opcode == kCall) {
    if (insn.src == BPF_PSEUDO_CALL) return {.kind = RefKind::kCall, .index = imm % functions};
    return {.kind = insn.src == 0 ? RefKind::kNone : RefKind::kExtern};
  }
  if (insn.opcode != kLoadImm64) return {};
  switch (insn.src) {
    case 1: return {.kind = RefKind::kMap, .index = imm % 3};
    case 2: return {.kind = RefKind::kData, .index = 0, .offset = offset};
    case 3: return {.kind = RefKind::kData, .index = 1, .offset = offset};
    case 4: return {.kind = RefKind::kFunctionAddress, .index = imm % functions};
    case 5: return {.kind = RefKind::kExtern};
    default: return {};
  }
}

void AddRefs(object::Function& function, uint32_t functions) {
  for (uint32_t slot = 0; slot < function.insns.size(); ++slot) {
    Ref ref = RefOf(function.insns[slot], functions);
    ref.slot = slot;
    if (ref.kind != RefKind::kNone) function.refs.push_back(ref);
    if (function.insns[slot].opcode == kLoadImm64) ++slot;
  }
}

void AddFunctions(const std::vector<Insn>& code, uint32_t count, object::ObjectSpec& object) {
  const size_t each = code.size() / count;
  for (uint32_t i = 0; i < count; ++i) {
    const auto begin = code.begin() + static_cast<ptrdiff_t>(i * each);
    const auto end = i + 1 == count ? code.end() : begin + static_cast<ptrdiff_t>(each);
    const bool program = i < 2;
    object::Function function{.name = "f" + std::to_string(i),
                              .section = program ? "tc" : ".text",
                              .is_global = program || i == 3,
                              .insns = std::vector<Insn>(begin, end)};
    AddRefs(function, count);
    object.functions.push_back(std::move(function));
    if (program) object.programs.push_back({.name = "f" + std::to_string(i), .section = "tc", .function = i});
  }
  if (count > 1) object.programs[1].tail = object::TailSlot{.map = "calls", .slot = 1};
}

}  // namespace

object::ObjectSpec ObjectFrom(std::span<const uint8_t> bytes) {
  object::ObjectSpec object{.name = "fuzz", .path = "fuzz.bpf.o"};
  if (bytes.size() < kHeadBytes + sizeof(Insn)) return object;
  const size_t slots = std::min((bytes.size() - kHeadBytes) / sizeof(Insn), kMaxSlots);
  std::vector<Insn> code(slots);
  std::memcpy(code.data(), bytes.data() + kHeadBytes, slots * sizeof(Insn));
  object.maps = {{.name = "hash", .type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8},
                 {.name = "calls", .type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4},
                 {.name = "array", .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8}};
  const std::vector<uint8_t> data(bytes.begin() + 1, bytes.begin() + kHeadBytes);
  object.data_sections = {{.name = ".rodata", .bytes = data, .read_only = true},
                          {.name = ".data", .bytes = data}};
  for (uint32_t at = 0; at < kDataBytes; at += 4) {
    object.constants.push_back({.name = "c" + std::to_string(at), .offset = at, .size = 4,
                                .is_integer = true});
  }
  object.externs = {"extern"};
  const auto functions = static_cast<uint32_t>(1 + bytes[0] % 4);
  AddFunctions(code, static_cast<uint32_t>(std::min<size_t>(functions, slots)), object);
  return object;
}

}  // namespace bonsai::fuzz
