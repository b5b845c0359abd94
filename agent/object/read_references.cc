// SPDX-License-Identifier: Apache-2.0
#include <linux/bpf.h>

#include <algorithm>

#include "agent/base/status.h"
#include "agent/base/worker.h"
#include "agent/object/references.h"

namespace bonsai::object {
namespace {

constexpr int64_t kSlot = sizeof(Insn);
constexpr uint8_t kCall = BPF_JMP | BPF_CALL;
constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr uint32_t kMapTypeArena = 33;

bool IsLocalCall(const Insn& insn) {
  return insn.opcode == kCall && insn.src == BPF_PSEUDO_CALL;
}

// Slots of calls to functions of this object, those that have a relocation too.
void FindLocalCalls(const Insns& insns, std::vector<uint32_t>& calls) {
  calls.clear();
  const Insn* const first = insns.data();
  const auto size = static_cast<uint32_t>(insns.size());
  for (uint32_t slot = 0; slot < size; ++slot) {
    if (IsLocalCall(first[slot])) calls.push_back(slot);
  }
}

// The part of a sorted list that lies between two byte offsets.
template <typename Item, typename Offset>
std::span<const Item> Between(const std::vector<Item>& items, uint64_t begin, uint64_t end,
                              Offset offset) {
  const auto before = [&](const Item& item, uint64_t at) { return offset(item) < at; };
  const auto first = std::lower_bound(items.begin(), items.end(), begin, before);
  return {first, std::lower_bound(first, items.end(), end, before)};
}

}  // namespace

// By two threads in halves, of the slots as far as a function's are not parted.
absl::Status Builder::ReadReferences(base::Worker* worker) {
  const auto count = static_cast<uint32_t>(spec.functions.size());
  const uint64_t first_slots = worker == nullptr ? total_slots_ : total_slots_ / 2;
  uint32_t middle = 0;
  for (uint64_t slots = 0; middle < count && slots < first_slots; ++middle) {
    slots += spec.functions[middle].insns.size();
  }
  References before(*this), behind(*this);
  RETURN_IF_ERROR(base::Both(
      worker, [&] { return before.Read(spec.functions, 0, middle); },
      [&] { return behind.Read(spec.functions, middle, count); }));
  AddExterns(before, 0, middle);
  AddExterns(behind, middle, count);
  return absl::OkStatus();
}

void Builder::AddExterns(const References& references, uint32_t first, uint32_t last) {
  std::vector<uint32_t> numbers;
  for (const std::string_view name : references.externs()) {
    const auto [found, added] =
        extern_index_.emplace(name, static_cast<uint32_t>(spec.externs.size()));
    numbers.push_back(found->second);
    if (added) spec.externs.emplace_back(name);
  }
  if (numbers.empty()) return;
  for (uint32_t i = first; i < last; ++i) {
    for (Ref& ref : spec.functions[i].refs) {
      if (ref.kind == RefKind::kExtern) ref.index = numbers[ref.index];
    }
  }
}

absl::Status References::Read(std::vector<Function>& functions, uint32_t first, uint32_t last) {
  if (first < last) resolved_.resize(elf_.symbol_count());
  std::vector<ElfReloc> relocs;
  for (uint32_t section = 0; section < elf_.sections.size(); ++section) {
    const Builder::FunctionRange& range = builder_.functions_of[section];
    const uint32_t begin = std::max(first, range.first);
    const uint32_t end = std::min(last, range.first + range.count);
    if (begin >= end) continue;
    RETURN_IF_ERROR(elf_.ReadRelocs(elf_.sections[section], relocs));
    for (uint32_t i = begin; i < end; ++i) {
      RETURN_IF_ERROR(AddTo(functions[i], section, relocs));
    }
  }
  return absl::OkStatus();
}

absl::Status References::AddTo(Function& function, uint32_t section,
                               const std::vector<ElfReloc>& relocs) {
  const ElfSection& code = elf_.sections[section];
  const uint64_t begin = uint64_t{function.section_slot} * kSlot;
  const uint64_t end = begin + function.insns.size() * kSlot;
  const auto core = Between(CoreSites(code.name), begin, end, [](uint32_t at) { return at; });
  const auto own = Between(relocs, begin, end, [](const ElfReloc& reloc) { return reloc.offset; });
  // Calls inside one section need no relocation.
  FindLocalCalls(function.insns, calls_);
  const auto slot_of = [&](uint64_t at) { return static_cast<uint32_t>((at - begin) / kSlot); };
  refs_.clear();
  for (size_t c = 0, r = 0, l = 0;;) {
    const uint32_t core_slot = c < core.size() ? slot_of(core[c]) : UINT32_MAX;
    const uint32_t reloc_slot = r < own.size() ? slot_of(own[r].offset) : UINT32_MAX;
    const uint32_t call_slot = l < calls_.size() ? calls_[l] : UINT32_MAX;
    const uint32_t slot = std::min({core_slot, reloc_slot, call_slot});
    if (slot == UINT32_MAX) break;
    Ref ref{.kind = RefKind::kCore};
    if (reloc_slot == slot) {
      const Insn& insn = function.insns[slot];
      if (!ResolveAgain(own[r], insn, ref)) {
        ASSIGN_OR_RETURN(ref, Resolve(section, own[r], insn));
      }
    } else if (core_slot != slot) {
      const int64_t target = int64_t{function.section_slot} + slot + function.insns[slot].imm + 1;
      ASSIGN_OR_RETURN(ref, FunctionRef(RefKind::kCall, section, target, code.name,
                                        begin + slot * uint64_t{kSlot}));
    }
    ref.slot = slot;
    refs_.push_back(ref);
    while (c < core.size() && slot_of(core[c]) == slot) ++c;
    while (r < own.size() && slot_of(own[r].offset) == slot) ++r;
    if (call_slot == slot) ++l;
  }
  function.refs = refs_;
  return absl::OkStatus();
}

const std::vector<uint32_t>& References::CoreSites(std::string_view section) const {
  static const std::vector<uint32_t> kNone;
  if (!builder_.ext) return kNone;
  const auto found = builder_.ext->core_relocs.find(section);
  return found == builder_.ext->core_relocs.end() ? kNone : found->second;
}

// Most relocations are of a map, a constant or an extern that an earlier one named.
bool References::ResolveAgain(const ElfReloc& reloc, const Insn& insn, Ref& ref) const {
  const uint32_t index = resolved_[reloc.symbol];
  if (index == 0 || reloc.offset % kSlot != 0) return false;
  const Ref& known = known_[index - 1];
  // What is elsewhere may be named by any instruction.
  if (known.kind != RefKind::kExtern && insn.opcode != kLoadImm64) return false;
  if (known.kind == RefKind::kMap && insn.imm != 0) return false;
  ref = known;
  if (known.kind == RefKind::kData) ref.offset += insn.imm;
  return true;
}

void References::Remember(const ElfReloc& reloc, const Ref& ref) {
  known_.push_back(ref);
  resolved_[reloc.symbol] = static_cast<uint32_t>(known_.size());
}

absl::StatusOr<Ref> References::Resolve(uint32_t section, const ElfReloc& reloc, const Insn& insn) {
  const ElfSection& code = elf_.sections[section];
  const ElfSymbol symbol = elf_.symbol(reloc.symbol);
  if (reloc.offset % kSlot != 0) return elf_.Error(code.name, reloc.offset, "odd relocation");
  if (!symbol.defined()) {
    ASSIGN_OR_RETURN(const Ref ref, ExternRef(elf_.NameOf(symbol)));
    Remember(reloc, ref);
    return ref;
  }
  if (insn.opcode == kCall) {
    const int64_t target = static_cast<int64_t>(symbol.value / kSlot) + insn.imm + 1;
    return FunctionRef(RefKind::kCall, symbol.section, target, code.name, reloc.offset);
  }
  if (insn.opcode != kLoadImm64) {
    return elf_.Error(code.name, reloc.offset, "relocation of an instruction that takes none");
  }
  if (elf_.sections[symbol.section].executable()) {
    // A section symbol's addend is in bytes, other than for calls.
    const int64_t target = (static_cast<int64_t>(symbol.value) + insn.imm) / kSlot;
    return FunctionRef(RefKind::kFunctionAddress, symbol.section, target, code.name, reloc.offset);
  }
  return ResolveData(section, reloc, symbol, insn);
}

absl::StatusOr<Ref> References::ResolveData(uint32_t section, const ElfReloc& reloc,
                                            const ElfSymbol& symbol, const Insn& insn) {
  const ElfSection& code = elf_.sections[section];
  const int64_t offset = static_cast<int64_t>(symbol.value) + insn.imm;
  if (const uint32_t data = builder_.data_index[symbol.section]; data != 0) {
    Remember(reloc, {.kind = RefKind::kData, .index = data - 1,
                     .offset = static_cast<int64_t>(symbol.value)});
    return Ref{.kind = RefKind::kData, .index = data - 1, .offset = offset};
  }
  if (const Builder::MapPlace* map = builder_.MapAt(symbol.section, static_cast<uint64_t>(offset))) {
    const Ref ref{.kind = RefKind::kMap, .index = map->map};
    if (insn.imm == 0) Remember(reloc, ref);
    return ref;
  }
  const std::string_view target = elf_.sections[symbol.section].name;
  if (target == kMapsSection) return elf_.Error(code.name, reloc.offset, "reference to no map");
  if (target == kArenaSection) {
    for (uint32_t i = 0; i < builder_.spec.maps.size(); ++i) {
      if (builder_.spec.maps[i].type == kMapTypeArena) return Ref{.kind = RefKind::kArena, .index = i};
    }
  }
  // A section this reader does not know (struct_ops, a newer libbpf's): its content is no fact.
  return ExternRef(target);
}

absl::StatusOr<Ref> References::FunctionRef(RefKind kind, uint32_t section, int64_t slot,
                                            std::string_view from, uint64_t at) const {
  const auto found = slot < 0 ? std::nullopt : builder_.FunctionAt(section, static_cast<uint64_t>(slot));
  if (!found) return elf_.Error(from, at, "reference to no function's start");
  return Ref{.kind = kind, .index = *found};
}

std::optional<uint32_t> Builder::FunctionAt(uint32_t section, uint64_t slot) const {
  const FunctionRange& range = functions_of[section];
  const auto first = spec.functions.begin() + range.first;
  const auto found = std::lower_bound(
      first, first + range.count, slot,
      [](const Function& function, uint64_t at) { return function.section_slot < at; });
  if (found == first + range.count || found->section_slot != slot) return std::nullopt;
  return static_cast<uint32_t>(found - spec.functions.begin());
}

// Charged for a name that is known, too: it was read to find that out.
absl::StatusOr<Ref> References::ExternRef(std::string_view name) {
  charged_ += sizeof(std::string) + name.size();
  if (charged_ > kMaxItemBytes) return elf_.Error("symtab", 0, kTooMuch);
  const auto [found, added] = extern_index_.emplace(name, static_cast<uint32_t>(externs_.size()));
  if (added) externs_.push_back(name);
  return Ref{.kind = RefKind::kExtern, .index = found->second};
}

}  // namespace bonsai::object
