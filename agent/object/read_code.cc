// SPDX-License-Identifier: Apache-2.0
// Functions: program sections and .text, split by symbols, static functions too.
#include <elf.h>

#include <algorithm>
#include <charconv>

#include "agent/base/status.h"
#include "agent/object/builder.h"

namespace bonsai::object {
namespace {

constexpr uint64_t kSlot = sizeof(Insn);
// Four of the largest programs a kernel takes; only forged symbol tables name more code than that.
constexpr size_t kMaxSlots = 4 << 20;

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
  std::map<uint32_t, std::vector<const ElfSymbol*>> by_section;
  for (const ElfSymbol& symbol : elf.symbols) {
    if (symbol.type == STT_FUNC) by_section[symbol.section].push_back(&symbol);
  }
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    if (elf.sections[i].executable()) RETURN_IF_ERROR(AddSectionFunctions(i, by_section[i]));
  }
  for (Function& function : spec.functions) {
    AddTags(function);
    AddLines(function);
  }
  for (uint32_t i : program_functions) AddProgram(i);
  return absl::OkStatus();
}

absl::Status Builder::AddSectionFunctions(uint32_t index, std::vector<const ElfSymbol*> symbols) {
  const ElfSection& section = elf.sections[index];
  if (section.data.size() % kSlot != 0) {
    return elf.Error(section.name, section.data.size(), "not a whole number of instructions");
  }
  // At one place (aliases) the global name goes first: calls then resolve to it.
  std::stable_sort(symbols.begin(), symbols.end(), [](const ElfSymbol* a, const ElfSymbol* b) {
    return a->value != b->value ? a->value < b->value
                                : (a->bind != STB_LOCAL) > (b->bind != STB_LOCAL);
  });
  ElfSymbol whole{.name = section.name, .size = section.size,
                  .section = static_cast<uint16_t>(index), .type = STT_FUNC, .bind = STB_GLOBAL};
  if (symbols.empty() && section.size > 0) symbols.push_back(&whole);
  for (size_t i = 0; i < symbols.size(); ++i) {
    uint64_t end = section.size;
    for (size_t next = i + 1; next < symbols.size(); ++next) {
      if (symbols[next]->value == symbols[i]->value) continue;
      end = symbols[next]->value;
      break;
    }
    RETURN_IF_ERROR(AddFunction(*symbols[i], end));
  }
  return absl::OkStatus();
}

absl::Status Builder::AddFunction(const ElfSymbol& symbol, uint64_t end) {
  const ElfSection& section = elf.sections[symbol.section];
  if (symbol.size != 0) end = std::min(end, symbol.value + symbol.size);
  if (symbol.value % kSlot != 0 || end % kSlot != 0 || symbol.value >= end ||
      end > section.data.size()) {
    return elf.Error(section.name, symbol.value, "function symbol does not fit its section");
  }
  const bool hidden = symbol.visibility == STV_HIDDEN || symbol.visibility == STV_INTERNAL;
  Function function{.name = std::string(symbol.name), .section = std::string(section.name),
                    .section_slot = static_cast<uint32_t>(symbol.value / kSlot),
                    // libbpf turns hidden functions into static ones.
                    .is_global = symbol.bind != STB_LOCAL && !hidden};
  total_slots += (end - symbol.value) / kSlot;
  if (total_slots > kMaxSlots) {
    return elf.Error(section.name, symbol.value, "too many instructions");
  }
  function.insns.resize((end - symbol.value) / kSlot);
  std::memcpy(function.insns.data(), section.data.data() + symbol.value, end - symbol.value);
  const Place place{symbol.section, function.section_slot};
  const auto index = static_cast<uint32_t>(spec.functions.size());
  function_at.emplace(place, index);
  function_sections.push_back(symbol.section);
  // libbpf loads whatever is not static outside .text as a program.
  if (section.name != ".text" && symbol.bind != STB_LOCAL) program_functions.push_back(index);
  spec.functions.push_back(std::move(function));
  return absl::OkStatus();
}

// Records of one section between two byte offsets, in a vector sorted by offset.
template <typename Record, typename Offset>
std::span<const Record> Between(const std::map<std::string_view, std::vector<Record>>& table,
                                const Function& function, Offset offset) {
  const auto found = table.find(function.section);
  if (found == table.end()) return {};
  const uint64_t begin = function.section_slot * kSlot;
  const uint64_t end = begin + function.insns.size() * kSlot;
  const auto before = [&](const Record& record, uint64_t limit) { return offset(record) < limit; };
  const auto& records = found->second;
  const auto first = std::lower_bound(records.begin(), records.end(), begin, before);
  return {first, std::lower_bound(first, records.end(), end, before)};
}

void Builder::AddTags(Function& function) {
  if (!btf) return;
  uint32_t id = btf->FindFunction(function.name);
  if (ext) {
    for (const auto& [offset, type] :
         Between(ext->functions, function, [](const auto& info) { return info.first; })) {
      // Aliases share code: the record belongs to the one it names.
      if (btf->Name(btf->type(type)) == function.name) id = type;
    }
  }
  for (std::string_view tag : btf->Tags(id)) function.tags.emplace_back(tag);
}

void Builder::AddLines(Function& function) {
  if (!ext) return;
  const auto lines = Between(ext->lines, function, [](const auto& line) { return line.offset; });
  function.lines.reserve(lines.size());
  for (const BtfExt::Line& line : lines) {
    const auto slot = static_cast<uint32_t>(line.offset / kSlot) - function.section_slot;
    function.lines.push_back(
        {.slot = slot, .line = line.line, .file = line.file, .text = line.text});
  }
}

void Builder::AddProgram(uint32_t index) {
  const Function& function = spec.functions[index];
  Program program{.name = function.name, .section = function.section, .function = index};
  for (const std::string& tag : function.tags) {
    if (const auto text = TagValue(tag, "tail:")) program.tail = ParseTail(*text);
  }
  spec.programs.push_back(std::move(program));
}

}  // namespace bonsai::object
