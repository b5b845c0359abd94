// SPDX-License-Identifier: Apache-2.0
// What each instruction refers to: relocations, calls the compiler resolved itself, CO-RE sites.
#include <elf.h>
#include <linux/bpf.h>

#include <algorithm>

#include "agent/base/status.h"
#include "agent/object/builder.h"

namespace bonsai::object {
namespace {

constexpr int64_t kSlot = sizeof(Insn);
constexpr uint8_t kCall = BPF_JMP | BPF_CALL;
constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr uint32_t kMapTypeArena = 33;

bool IsLocalCall(const Insn& insn) {
  return insn.opcode == kCall && insn.src == BPF_PSEUDO_CALL;
}

}  // namespace

absl::Status Builder::ReadReferences() {
  for (size_t i = 0; i < spec.functions.size(); ++i) {
    RETURN_IF_ERROR(AddReferences(function_sections[i], spec.functions[i]));
  }
  return absl::OkStatus();
}

absl::Status Builder::AddReferences(uint32_t section, Function& function) {
  const ElfSection& code = elf.sections[section];
  const uint64_t begin = uint64_t{function.section_slot} * kSlot;
  const uint64_t end = begin + function.insns.size() * kSlot;
  std::map<uint32_t, Ref> refs;
  if (ext) {
    const auto found = ext->core_relocs.find(code.name);
    if (found != ext->core_relocs.end()) {
      for (uint32_t offset : found->second) {
        if (offset < begin || offset >= end) continue;
        const auto slot = static_cast<uint32_t>((offset - begin) / kSlot);
        refs[slot] = {.slot = slot, .kind = RefKind::kCore};
      }
    }
  }
  const auto first = std::lower_bound(code.relocs.begin(), code.relocs.end(), begin,
                                      [](const ElfReloc& r, uint64_t at) { return r.offset < at; });
  for (auto reloc = first; reloc != code.relocs.end() && reloc->offset < end; ++reloc) {
    if (reloc->offset % kSlot != 0) return elf.Error(code.name, reloc->offset, "odd relocation");
    const auto slot = static_cast<uint32_t>((reloc->offset - begin) / kSlot);
    ASSIGN_OR_RETURN(Ref ref, Resolve(section, *reloc, function.insns[slot]));
    ref.slot = slot;
    refs[slot] = ref;
  }
  // Calls inside one section need no relocation.
  for (uint32_t slot = 0; slot < function.insns.size(); ++slot) {
    if (!IsLocalCall(function.insns[slot]) || refs.contains(slot)) continue;
    const int64_t target = int64_t{function.section_slot} + slot + function.insns[slot].imm + 1;
    ASSIGN_OR_RETURN(Ref ref, FunctionRef(RefKind::kCall, section, target, code.name,
                                          begin + slot * uint64_t{kSlot}));
    ref.slot = slot;
    refs[slot] = ref;
  }
  function.refs.reserve(refs.size());
  for (const auto& [slot, ref] : refs) function.refs.push_back(ref);
  return absl::OkStatus();
}

absl::StatusOr<Ref> Builder::Resolve(uint32_t section, const ElfReloc& reloc, const Insn& insn) {
  const ElfSection& code = elf.sections[section];
  const ElfSymbol& symbol = elf.symbols[reloc.symbol];
  if (!symbol.defined()) return ExternRef(symbol.name);
  if (insn.opcode == kCall) {
    const int64_t target = static_cast<int64_t>(symbol.value / kSlot) + insn.imm + 1;
    return FunctionRef(RefKind::kCall, symbol.section, target, code.name, reloc.offset);
  }
  if (insn.opcode != kLoadImm64) {
    return elf.Error(code.name, reloc.offset, "relocation of an instruction that takes none");
  }
  if (elf.sections[symbol.section].executable()) {
    // A section symbol's addend is in bytes, other than for calls.
    const int64_t target = (static_cast<int64_t>(symbol.value) + insn.imm) / kSlot;
    return FunctionRef(RefKind::kFunctionAddress, symbol.section, target, code.name, reloc.offset);
  }
  return ResolveData(section, reloc, insn);
}

absl::StatusOr<Ref> Builder::ResolveData(uint32_t section, const ElfReloc& reloc,
                                         const Insn& insn) {
  const ElfSection& code = elf.sections[section];
  const ElfSymbol& symbol = elf.symbols[reloc.symbol];
  const int64_t offset = static_cast<int64_t>(symbol.value) + insn.imm;
  const std::string_view target = elf.sections[symbol.section].name;
  if (target == kMapsSection) {
    const auto map = MapAt(static_cast<uint64_t>(offset));
    if (!map) return elf.Error(code.name, reloc.offset, "reference to no map");
    return Ref{.kind = RefKind::kMap, .index = *map};
  }
  if (target == kArenaSection) {
    for (uint32_t i = 0; i < spec.maps.size(); ++i) {
      if (spec.maps[i].type == kMapTypeArena) return Ref{.kind = RefKind::kArena, .index = i};
    }
  }
  const auto data = data_index.find(symbol.section);
  // A section this reader does not know (struct_ops, a newer libbpf's): its content is no fact.
  if (data == data_index.end()) return ExternRef(target);
  return Ref{.kind = RefKind::kData, .index = data->second, .offset = offset};
}

absl::StatusOr<Ref> Builder::FunctionRef(RefKind kind, uint32_t section, int64_t slot,
                                         std::string_view from, uint64_t at) {
  const auto found = slot < 0 || slot > UINT32_MAX
                         ? function_at.end()
                         : function_at.find({section, static_cast<uint32_t>(slot)});
  if (found == function_at.end()) return elf.Error(from, at, "reference to no function's start");
  return Ref{.kind = kind, .index = found->second};
}

Ref Builder::ExternRef(std::string_view name) {
  const auto [found, added] =
      extern_index_.emplace(name, static_cast<uint32_t>(spec.externs.size()));
  if (added) spec.externs.emplace_back(name);
  return {.kind = RefKind::kExtern, .index = found->second};
}

}  // namespace bonsai::object
