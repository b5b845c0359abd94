// SPDX-License-Identifier: Apache-2.0
#include "agent/object/elf_file.h"

#include <elf.h>

#include <algorithm>
#include <bit>

#include "agent/base/status.h"

namespace bonsai::object {
namespace {

static_assert(std::endian::native == std::endian::little, "BPF objects are read in host byte order");

absl::Status CheckHeader(const ElfFile& file, Bytes bytes, Elf64_Ehdr& header) {
  if (!Load(bytes, 0, header)) return file.Error("header", 0, "truncated: not an ELF file");
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return file.Error("header", 0, "not an ELF file");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64) {
    return file.Error("header", EI_CLASS, "not a 64-bit ELF file");
  }
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return file.Error("header", EI_DATA, "big-endian object: compile it with -target bpfel");
  }
  if (header.e_machine != EM_BPF && header.e_machine != EM_NONE) {
    return file.Error("header", offsetof(Elf64_Ehdr, e_machine), "not a BPF object");
  }
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0) {
    return file.Error("header", offsetof(Elf64_Ehdr, e_shentsize), "no usable section table");
  }
  return absl::OkStatus();
}

absl::Status ReadSections(ElfFile& file, Bytes bytes, const Elf64_Ehdr& header) {
  std::vector<uint32_t> names;
  for (uint32_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr raw;
    const uint64_t offset = header.e_shoff + uint64_t{i} * sizeof(raw);
    if (offset < header.e_shoff || !Load(bytes, offset, raw)) {
      return file.Error("section table", offset, "truncated");
    }
    ElfSection section{.type = raw.sh_type, .flags = raw.sh_flags, .link = raw.sh_link,
                       .info = raw.sh_info, .size = raw.sh_size};
    if (raw.sh_type != SHT_NOBITS && raw.sh_type != SHT_NULL) {
      if (raw.sh_offset > bytes.size() || raw.sh_size > bytes.size() - raw.sh_offset) {
        return file.Error("section table", offset, "a section reaches beyond the end of the file");
      }
      section.data = bytes.subspan(raw.sh_offset, raw.sh_size);
    }
    names.push_back(raw.sh_name);
    file.sections.push_back(std::move(section));
  }
  if (header.e_shstrndx >= file.sections.size()) {
    return file.Error("header", offsetof(Elf64_Ehdr, e_shstrndx), "no section names");
  }
  const Bytes strings = file.sections[header.e_shstrndx].data;
  for (size_t i = 0; i < names.size(); ++i) file.sections[i].name = StringAt(strings, names[i]);
  return absl::OkStatus();
}

absl::Status ReadSymbols(ElfFile& file) {
  const auto table = std::find_if(file.sections.begin(), file.sections.end(),
                                  [](const ElfSection& s) { return s.type == SHT_SYMTAB; });
  if (table == file.sections.end()) return file.Error("symtab", 0, "no symbol table");
  if (table->link >= file.sections.size()) return file.Error("symtab", 0, "no symbol names");
  const Bytes strings = file.sections[table->link].data;
  for (size_t at = 0; at < table->data.size(); at += sizeof(Elf64_Sym)) {
    Elf64_Sym raw;
    if (!Load(table->data, at, raw)) return file.Error("symtab", at, "truncated");
    ElfSymbol symbol{.name = StringAt(strings, raw.st_name), .value = raw.st_value,
                     .size = raw.st_size, .section = raw.st_shndx,
                     .type = static_cast<uint8_t>(ELF64_ST_TYPE(raw.st_info)),
                     .bind = static_cast<uint8_t>(ELF64_ST_BIND(raw.st_info)),
                     .visibility = static_cast<uint8_t>(ELF64_ST_VISIBILITY(raw.st_other))};
    if (symbol.defined()) {
      if (symbol.section >= file.sections.size()) {
        return file.Error("symtab", at, "symbol in a section that does not exist");
      }
      if (symbol.type == STT_SECTION) symbol.name = file.sections[symbol.section].name;
    }
    file.symbols.push_back(symbol);
  }
  return absl::OkStatus();
}

absl::Status ReadRelocs(ElfFile& file) {
  for (const ElfSection& section : file.sections) {
    if (section.type != SHT_REL && section.type != SHT_RELA) continue;
    if (section.info >= file.sections.size()) {
      return file.Error(section.name, 0, "relocations for a section that does not exist");
    }
    ElfSection& target = file.sections[section.info];
    // Debug information is not read, so neither are its relocations.
    if (!(target.flags & SHF_ALLOC)) continue;
    if (section.type == SHT_RELA) return file.Error(section.name, 0, "RELA relocations");
    for (size_t at = 0; at < section.data.size(); at += sizeof(Elf64_Rel)) {
      Elf64_Rel raw;
      if (!Load(section.data, at, raw)) return file.Error(section.name, at, "truncated");
      const uint32_t symbol = ELF64_R_SYM(raw.r_info);
      if (symbol >= file.symbols.size() || raw.r_offset >= target.size) {
        return file.Error(section.name, at, "relocation of what does not exist");
      }
      target.relocs.push_back({raw.r_offset, static_cast<uint32_t>(ELF64_R_TYPE(raw.r_info)), symbol});
    }
  }
  for (ElfSection& section : file.sections) {
    std::stable_sort(section.relocs.begin(), section.relocs.end(),
                     [](const ElfReloc& a, const ElfReloc& b) { return a.offset < b.offset; });
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view StringAt(Bytes table, size_t offset) {
  if (offset >= table.size()) return {};
  const auto* begin = reinterpret_cast<const char*>(table.data()) + offset;
  const void* end = std::memchr(begin, 0, table.size() - offset);
  if (end == nullptr) return {};
  return {begin, static_cast<size_t>(static_cast<const char*>(end) - begin)};
}

bool ElfSection::executable() const {
  return type == SHT_PROGBITS && (flags & SHF_EXECINSTR) != 0;
}

bool ElfSymbol::defined() const { return section != SHN_UNDEF && section < SHN_LORESERVE; }

absl::StatusOr<ElfFile> ElfFile::Parse(const std::string& name, Bytes bytes) {
  ElfFile file{.name = name};
  Elf64_Ehdr header;
  RETURN_IF_ERROR(CheckHeader(file, bytes, header));
  RETURN_IF_ERROR(ReadSections(file, bytes, header));
  RETURN_IF_ERROR(ReadSymbols(file));
  RETURN_IF_ERROR(ReadRelocs(file));
  return file;
}

const ElfSection* ElfFile::Find(std::string_view section) const {
  for (const ElfSection& candidate : sections) {
    if (candidate.name == section) return &candidate;
  }
  return nullptr;
}

absl::Status ElfFile::Error(std::string_view section, uint64_t offset,
                            const std::string& cause) const {
  return base::InvalidArgument("reading object {}: section {}, offset {:#x}: {}", name, section,
                               offset, cause);
}

}  // namespace bonsai::object
