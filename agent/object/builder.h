// SPDX-License-Identifier: Apache-2.0
// Steps that turn an ELF file and its BTF into an ObjectSpec; internal to object/. They run in the
// order below and share what earlier ones found out; ReadMaps() may run in another thread than
// ReadData() and ReadFunctions(), which use nothing of it.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/object/btf.h"
#include "agent/object/elf_file.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {

// Of maps and their names; of functions, constants and theirs; of externs.
inline constexpr size_t kMaxItemBytes = 64 << 20;
inline constexpr char kTooMuch[] = "too many names, or too long ones";
inline constexpr std::string_view kMapsSection = ".maps";
inline constexpr std::string_view kLegacyMapsSection = "maps";
inline constexpr std::string_view kArenaSection = ".addr_space.1";

class References;

struct Builder {
  static constexpr uint64_t kNoValues = UINT64_MAX;

  // Where a map definition stands.
  struct MapPlace {
    uint32_t section = 0, map = 0;   // ELF section; index into spec.maps
    uint64_t offset = 0, size = 0;
    uint64_t values_offset = 0;      // of the `values` member, for initialisers; kNoValues: none
  };
  // Functions of one ELF section: a range of spec.functions, ascending by slot.
  struct FunctionRange {
    uint32_t first = 0, count = 0;
  };

  explicit Builder(const ElfFile& file) : elf(file) {}

  const ElfFile& elf;
  std::optional<Btf> btf;
  std::optional<BtfExt> ext;
  ObjectSpec spec;

  std::vector<MapPlace> map_places;                // sorted by section, then offset
  std::vector<uint32_t> data_index;                // ELF section -> spec.data_sections + 1; 0: none
  std::vector<FunctionRange> functions_of;         // ELF section -> its functions
  std::vector<uint32_t> program_functions;         // those libbpf loads as programs
  ByName<uint32_t> globals;                        // data symbols that are not local

  absl::Status ReadTypes();
  void IndexGlobals();
  absl::Status ReadMaps();          // .maps and tags
  absl::Status ReadData();          // data sections and constants
  absl::Status ReadFunctions();     // code, lines, tags, programs
  absl::Status ReadReferences(base::Worker* worker);  // relocations of code
  absl::Status ReadInitialisers();  // relocations of .maps

  // The map that holds this place; nullptr: none.
  const MapPlace* MapAt(uint32_t section, uint64_t offset) const;
  // The first of those that start there.
  std::optional<uint32_t> FunctionAt(uint32_t section, uint64_t slot) const;

 private:
  struct FunctionSymbol {
    ElfSymbol symbol;
    uint64_t end = 0;  // where the next one starts, or its section ends
  };

  // What is made of a forged file is held to a few times what a real one could need. `charged`: so far,
  // by the half of the reading that one thread does.
  absl::Status Charge(size_t& charged, std::string_view section, uint64_t offset, size_t bytes);

  absl::Status AddTypedMaps(uint32_t section);
  absl::Status AddSymbolMaps(uint32_t section);
  // Where a variable of the DATASEC `.maps` stands; nullopt: in another object.
  std::optional<MapPlace> PlaceOf(uint32_t section, const Btf::SectionVariable& variable,
                                  const Btf::Type& var) const;
  absl::Status AddMap(std::string_view name, Map map, MapPlace place);
  absl::Status AddInitialiser(uint32_t section, const ElfReloc& reloc);

  std::vector<FunctionSymbol> FunctionSymbols() const;
  absl::Status AddFunction(const FunctionSymbol& each);
  Insns CodeAt(Bytes code, size_t slots) const;
  void AddLines(Function& function, std::string_view section) const;
  uint32_t RecordedType(const Function& function) const;
  absl::Status AddTags();
  absl::Status AddProgram(uint32_t index);

  absl::Status AddSections();
  absl::Status AddConstants(const Btf::Type& section, uint32_t index);
  absl::Status AddSymbolConstants();

  // Numbers what `references` of the functions [first, last) names as extern.
  void AddExterns(const References& references, uint32_t first, uint32_t last);

  size_t maps_charged_ = 0, charged_ = 0;
  size_t total_slots_ = 0;                         // of all functions
  ByName<uint32_t> extern_index_;
};

// Parts of decl tags: the text after `prefix`, if `tag` starts with it.
std::optional<std::string_view> TagValue(std::string_view tag, std::string_view prefix);
// "map/slot" of a tail tag.
std::optional<TailSlot> ParseTail(std::string_view text);

}  // namespace bonsai::object
