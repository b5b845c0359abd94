// SPDX-License-Identifier: Apache-2.0
// The few parts of a 64-bit little-endian ELF file that a BPF object has: sections, symbols and
// relocations. Every offset and size is checked before it is used; any bytes are fit input.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bonsai::object {

using Bytes = std::span<const uint8_t>;

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
  uint32_t symbol = 0;   // index into ElfFile::symbols, checked
};

struct ElfSection {
  std::string_view name;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint32_t link = 0, info = 0;
  uint64_t size = 0;     // of the content; NOBITS has no data
  Bytes data;
  std::vector<ElfReloc> relocs;  // sorted by offset

  bool executable() const;
};

struct ElfSymbol {
  std::string_view name;
  uint64_t value = 0, size = 0;
  uint16_t section = 0;  // SHN_*, or an index into ElfFile::sections, checked
  uint8_t type = 0, bind = 0, visibility = 0;

  bool defined() const;  // section is an index
};

// Views into the bytes given to Parse(), which must outlive it.
struct ElfFile {
  std::string name;      // for errors
  std::vector<ElfSection> sections;
  std::vector<ElfSymbol> symbols;

  static absl::StatusOr<ElfFile> Parse(const std::string& name, Bytes bytes);

  // nullptr: there is none.
  const ElfSection* Find(std::string_view section) const;
  // InvalidArgument "reading object FILE: section S, offset 0xN: CAUSE".
  absl::Status Error(std::string_view section, uint64_t offset, const std::string& cause) const;
};

}  // namespace bonsai::object
