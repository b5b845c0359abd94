// SPDX-License-Identifier: Apache-2.0
// The few parts of a 64-bit little-endian ELF file that a BPF object has: sections, symbols and
// relocations. Every offset and size is checked before it is used; any bytes are fit input.
#pragma once

#include <absl/status/statusor.h>
#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/object/image.h"

namespace bonsai::object {

// Reads a T at `offset`; false when it does not fit.
template <typename T>
bool Load(Bytes bytes, size_t offset, T& value) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return false;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return true;
}

// The 0-terminated string at `offset`; "" when out of range or unterminated.
std::string_view StringAt(Bytes table, size_t offset);

struct ElfReloc {
  uint64_t offset = 0;   // inside the section it patches
  uint32_t type = 0;     // R_BPF_*
  uint32_t symbol = 0;   // index into the symbol table, checked
};

struct ElfSection {
  std::string_view name;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint32_t link = 0, info = 0;
  uint64_t offset = 0;   // in the file
  uint64_t size = 0;     // of the content
  Bytes data;            // empty: NOBITS, or of no use here
  std::vector<uint32_t> reloc_sections;  // SHT_REL sections for this one

  bool executable() const;
};

struct ElfSymbol {
  uint64_t value = 0, size = 0;
  uint32_t name = 0;     // for ElfFile::NameOf()
  uint16_t section = 0;  // SHN_*, or an index into ElfFile::sections, checked
  uint8_t type = 0, bind = 0, visibility = 0;

  bool defined() const { return section != SHN_UNDEF && section < SHN_LORESERVE; }
};

// Views into the image given to Parse(), which must outlive it.
struct ElfFile {
  std::string name;      // for errors
  std::vector<ElfSection> sections;
  std::vector<uint32_t> code_symbols, data_symbols;  // functions; defined objects

  static absl::StatusOr<ElfFile> Parse(const std::string& name, Image& image);

  // `index` is below symbol_count(); the table is not decoded before.
  ElfSymbol symbol(uint32_t index) const {
    Elf64_Sym raw{};
    Load(symbols_, index * sizeof(raw), raw);
    return {.value = raw.st_value, .size = raw.st_size, .name = raw.st_name, .section = raw.st_shndx,
            .type = static_cast<uint8_t>(ELF64_ST_TYPE(raw.st_info)),
            .bind = static_cast<uint8_t>(ELF64_ST_BIND(raw.st_info)),
            .visibility = static_cast<uint8_t>(ELF64_ST_VISIBILITY(raw.st_other))};
  }
  uint32_t symbol_count() const { return symbol_count_; }
  std::string_view NameOf(const ElfSymbol& symbol) const;
  // Fills `relocs` with those of a section, sorted by offset. InvalidArgument for relocations that
  // do not fit the section or name no symbol.
  absl::Status ReadRelocs(const ElfSection& section, std::vector<ElfReloc>& relocs) const;
  // nullptr: there is none.
  const ElfSection* Find(std::string_view section) const;
  // InvalidArgument "reading object FILE: section S, offset 0xN: CAUSE".
  absl::Status Error(std::string_view section, uint64_t offset, const std::string& cause) const;

 private:
  absl::Status ReadSections(Image& image);
  absl::Status NameSections(Image& image, const std::vector<uint32_t>& names, uint32_t index);
  absl::Status ReadContents(Image& image);
  absl::Status ReadSymbols();
  absl::Status LinkRelocs();

  Bytes symbols_, symbol_names_;
  uint32_t symbol_count_ = 0;
  uint64_t file_size_ = 0;
};

}  // namespace bonsai::object
