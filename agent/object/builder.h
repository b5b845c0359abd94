// SPDX-License-Identifier: Apache-2.0
// Steps that turn an ELF file and its BTF into an ObjectSpec; internal to object/. They run in the
// order below and share what earlier ones found out.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/object/btf.h"
#include "agent/object/elf_file.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {

inline constexpr std::string_view kMapsSection = ".maps";
inline constexpr std::string_view kArenaSection = ".addr_space.1";

struct Builder {
  // Where a map definition stands inside `.maps`.
  struct MapPlace {
    uint64_t offset = 0, size = 0;
    uint64_t values_offset = 0;  // of the `values` member, for .values initialisers
  };
  // Where a function stands: ELF section and first slot.
  struct Place {
    uint32_t section = 0;
    uint32_t slot = 0;
    bool operator<(const Place& other) const {
      return section != other.section ? section < other.section : slot < other.slot;
    }
  };

  explicit Builder(const ElfFile& file) : elf(file) {}

  const ElfFile& elf;
  std::optional<Btf> btf;
  std::optional<BtfExt> ext;
  ObjectSpec spec;

  std::vector<MapPlace> map_places;                       // parallel to spec.maps
  std::map<uint32_t, uint32_t> data_index;                // ELF section -> spec.data_sections
  std::map<Place, uint32_t> function_at;                  // first of those at one place
  std::vector<uint32_t> function_sections;                // parallel to spec.functions
  std::vector<uint32_t> program_functions;                // those libbpf loads as programs
  size_t total_slots = 0;                                 // of all functions
  std::unordered_map<std::string_view, const ElfSymbol*> globals;  // not-local symbols by name

  absl::Status ReadTypes();
  absl::Status ReadMaps();          // .maps and tags
  absl::Status ReadData();          // data sections and constants
  absl::Status ReadFunctions();     // code, lines, tags, programs
  absl::Status ReadReferences();    // relocations of code
  absl::Status ReadInitialisers();  // relocations of .maps

 private:
  absl::Status AddMap(std::string_view name, uint32_t var, MapPlace place);
  absl::Status AddFunction(const ElfSymbol& symbol, uint64_t end);
  absl::Status AddSectionFunctions(uint32_t section, std::vector<const ElfSymbol*> symbols);
  void AddTags(Function& function);
  void AddLines(Function& function);
  void AddProgram(uint32_t index);
  void AddConstants(const Btf::Type& section, uint32_t index);
  void AddSymbolConstants();
  absl::Status AddReferences(uint32_t section, Function& function);
  absl::StatusOr<Ref> Resolve(uint32_t section, const ElfReloc& reloc, const Insn& insn);
  absl::StatusOr<Ref> ResolveData(uint32_t section, const ElfReloc& reloc, const Insn& insn);
  absl::StatusOr<Ref> FunctionRef(RefKind kind, uint32_t section, int64_t slot,
                                  std::string_view from, uint64_t at);
  Ref ExternRef(std::string_view name);
  std::optional<uint32_t> MapAt(uint64_t offset) const;

  std::map<std::string_view, uint32_t> extern_index_;
};

// Parts of decl tags: the text after `prefix`, if `tag` starts with it.
std::optional<std::string_view> TagValue(std::string_view tag, std::string_view prefix);
// "map/slot" of a tail tag.
std::optional<TailSlot> ParseTail(std::string_view text);

}  // namespace bonsai::object
