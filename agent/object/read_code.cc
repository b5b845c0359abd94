// SPDX-License-Identifier: Apache-2.0
// Functions: program sections and .text, split by symbols, static functions too.
#include <algorithm>
#include <charconv>

#include "agent/base/status.h"
#include "agent/object/builder.h"

namespace bonsai::object {
namespace {

constexpr uint64_t kSlot = sizeof(Insn);
// Four of the largest programs a kernel takes; only forged symbol tables name more code than that.
constexpr size_t kMaxSlots = 4 << 20;

// At one place (aliases) the strong name goes first, then the weak, then the static: calls and
// pointers resolve to the first.
int Rank(const ElfSymbol& symbol) {
  if (symbol.bind == STB_LOCAL) return 2;
  return symbol.bind == STB_WEAK ? 1 : 0;
}

}  // namespace

std::optional<TailSlot> ParseTail(std::string_view text) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  TailSlot tail{.map = std::string(text.substr(0, slash))};
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), tail.slot);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return tail;
}

absl::Status Builder::ReadFunctions() {
  for (const ElfSection& section : elf.sections) {
    if (section.executable() && section.size % kSlot != 0) {
      return elf.Error(section.name, section.size, "not a whole number of instructions");
    }
  }
  functions_of.resize(elf.sections.size());
  const std::vector<FunctionSymbol> symbols = FunctionSymbols();
  spec.functions.reserve(symbols.size());
  for (const FunctionSymbol& each : symbols) RETURN_IF_ERROR(AddFunction(each));
  RETURN_IF_ERROR(AddTags());
  spec.programs.reserve(program_functions.size());
  for (uint32_t i : program_functions) RETURN_IF_ERROR(AddProgram(i));
  return absl::OkStatus();
}

// Sorted by section and place. Code without any symbol is one function named like its section.
std::vector<Builder::FunctionSymbol> Builder::FunctionSymbols() const {
  std::vector<FunctionSymbol> symbols;
  std::vector<bool> named(elf.sections.size());
  for (uint32_t i : elf.code_symbols) {
    const ElfSymbol symbol = elf.symbol(i);
    const ElfSection& section = elf.sections[symbol.section];
    // An empty function may stand behind the last instruction: nothing can run it.
    if (!section.executable() || (symbol.value == section.size && symbol.size == 0)) continue;
    named[symbol.section] = true;
    symbols.push_back({symbol, section.size});
  }
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    const ElfSection& section = elf.sections[i];
    if (!section.executable() || section.size == 0 || named[i]) continue;
    const ElfSymbol whole{.size = section.size, .section = static_cast<uint16_t>(i),
                          .type = STT_SECTION, .bind = STB_GLOBAL};
    symbols.push_back({whole, section.size});
  }
  std::sort(symbols.begin(), symbols.end(), [](const FunctionSymbol& x, const FunctionSymbol& y) {
    const ElfSymbol &a = x.symbol, &b = y.symbol;
    if (a.section != b.section) return a.section < b.section;
    if (a.value != b.value) return a.value < b.value;
    return Rank(a) != Rank(b) ? Rank(a) < Rank(b) : a.name < b.name;
  });
  for (size_t i = symbols.size(); i-- > 1;) {
    const FunctionSymbol& next = symbols[i];
    FunctionSymbol& each = symbols[i - 1];
    if (next.symbol.section != each.symbol.section) continue;
    each.end = next.symbol.value == each.symbol.value ? next.end : next.symbol.value;
  }
  return symbols;
}

absl::Status Builder::AddFunction(const FunctionSymbol& each) {
  const ElfSymbol& symbol = each.symbol;
  const ElfSection& section = elf.sections[symbol.section];
  uint64_t end = each.end;
  if (symbol.size != 0 && symbol.size < end - std::min(end, symbol.value)) {
    end = symbol.value + symbol.size;
  }
  if (symbol.value % kSlot != 0 || end % kSlot != 0 || symbol.value >= end ||
      end > section.data.size()) {
    return elf.Error(section.name, symbol.value, "function symbol does not fit its section");
  }
  const uint64_t slots = (end - symbol.value) / kSlot;
  const std::string_view name = elf.NameOf(symbol);
  total_slots_ += slots;
  if (total_slots_ > kMaxSlots) {
    return elf.Error(section.name, symbol.value, "too many instructions");
  }
  RETURN_IF_ERROR(Charge(charged_, section.name, symbol.value,
                         sizeof(Function) + name.size() + section.name.size()));
  const auto index = static_cast<uint32_t>(spec.functions.size());
  FunctionRange& range = functions_of[symbol.section];
  if (range.count++ == 0) range.first = index;
  Function& function = spec.functions.emplace_back();
  function.name = name;
  function.section = section.name;
  function.section_slot = static_cast<uint32_t>(symbol.value / kSlot);
  // libbpf turns hidden functions into static ones.
  const bool hidden = symbol.visibility == STV_HIDDEN || symbol.visibility == STV_INTERNAL;
  function.is_global = symbol.bind != STB_LOCAL && !hidden;
  function.insns = CodeAt(section.data.subspan(symbol.value), slots);
  AddLines(function, section.name);
  // libbpf loads whatever is not static outside .text as a program.
  if (section.name != ".text" && symbol.bind != STB_LOCAL) program_functions.push_back(index);
  return absl::OkStatus();
}

// A view of the image, unless the code stands where no instruction can be read in place.
Insns Builder::CodeAt(Bytes code, size_t slots) const {
  if (reinterpret_cast<uintptr_t>(code.data()) % alignof(Insn) == 0) {
    return {{spec.image, reinterpret_cast<const Insn*>(code.data())}, slots};
  }
  std::vector<Insn> copy(slots);
  std::memcpy(copy.data(), code.data(), slots * kSlot);
  return copy;
}

void Builder::AddLines(Function& function, std::string_view section) const {
  if (!ext) return;
  const auto found = ext->lines.find(section);
  if (found == ext->lines.end()) return;
  const BtfExt::Records& records = found->second;
  function.lines = {{{spec.image, records.bytes.data()}, records.count, records.stride},
                    function.section_slot, static_cast<uint32_t>(function.insns.size())};
}

absl::Status Builder::AddTags() {
  const std::vector<uint32_t> tagged = btf ? btf->TaggedFunctions() : std::vector<uint32_t>();
  if (tagged.empty()) return absl::OkStatus();
  ByName<uint32_t> by_name;
  for (uint32_t id : tagged) by_name.emplace(btf->Name(btf->type(id)), id);
  for (Function& function : spec.functions) {
    const uint32_t exact = RecordedType(function);
    const auto found = by_name.find(function.name);
    const uint32_t id = exact != 0 || found == by_name.end() ? exact : found->second;
    const std::vector<std::string_view> tags = btf->Tags(id);
    for (std::string_view tag : tags) {
      RETURN_IF_ERROR(Charge(charged_, function.section, function.section_slot * kSlot, 32 + tag.size()));
      function.tags.emplace_back(tag);
    }
  }
  return absl::OkStatus();
}

// The FUNC that .BTF.ext names for this function, or 0. Aliases share code: the record belongs to
// the one it names.
uint32_t Builder::RecordedType(const Function& function) const {
  if (!ext) return 0;
  const auto found = ext->functions.find(function.section);
  if (found == ext->functions.end()) return 0;
  const BtfExt::Records& records = found->second;
  uint32_t first = 0;
  const uint64_t offset = function.section_slot * kSlot;
  for (uint32_t count = records.count; count > 0;) {
    const uint32_t half = count / 2;
    const bool before = records.Word(first + half, 0) < offset;
    first += before ? half + 1 : 0;
    count = before ? count - half - 1 : half;
  }
  if (first == records.count || records.Word(first, 0) != offset) return 0;
  const uint32_t id = records.Word(first, 1);
  return btf->Name(btf->type(id)) == function.name ? id : 0;
}

absl::Status Builder::AddProgram(uint32_t index) {
  const Function& function = spec.functions[index];
  RETURN_IF_ERROR(Charge(charged_, function.section, function.section_slot * kSlot,
                         sizeof(Program) + function.name.size() + function.section.size()));
  Program& program = spec.programs.emplace_back();
  program.name = function.name;
  program.section = function.section;
  program.function = index;
  for (const std::string& tag : function.tags) {
    if (const auto text = TagValue(tag, "tail:")) program.tail = ParseTail(*text);
  }
  return absl::OkStatus();
}

}  // namespace bonsai::object
