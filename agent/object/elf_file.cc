// SPDX-License-Identifier: Apache-2.0
#include "agent/object/elf_file.h"

#include <algorithm>
#include <bit>

#include "agent/base/status.h"

namespace bonsai::object {
namespace {

static_assert(std::endian::native == std::endian::little, "BPF objects are read in host byte order");

constexpr size_t kMaxNameInError = 80;

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
  if (header.e_type != ET_REL) {
    return file.Error("header", offsetof(Elf64_Ehdr, e_type), "not a relocatable object");
  }
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0) {
    return file.Error("header", offsetof(Elf64_Ehdr, e_shentsize), "no usable section table");
  }
  return absl::OkStatus();
}

bool HasContent(const ElfSection& section) {
  return section.type != SHT_NOBITS && section.type != SHT_NULL;
}

// Debug information, most of many an object, is not read, and neither are its relocations.
bool IsOfUse(const ElfSection& section, const std::vector<ElfSection>& all) {
  if (section.type == SHT_REL) {
    return section.info < all.size() && (all[section.info].flags & SHF_ALLOC) != 0;
  }
  return section.type == SHT_SYMTAB || section.type == SHT_STRTAB ||
         (section.flags & SHF_ALLOC) != 0 || section.name == ".BTF" || section.name == ".BTF.ext";
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

absl::StatusOr<ElfFile> ElfFile::Parse(const std::string& name, Image& image) {
  ElfFile file;
  file.name = name;
  file.file_size_ = image.size();
  RETURN_IF_ERROR(file.ReadSections(image));
  RETURN_IF_ERROR(file.ReadContents(image));
  RETURN_IF_ERROR(file.ReadSymbols());
  RETURN_IF_ERROR(file.LinkRelocs());
  return file;
}

absl::Status ElfFile::ReadSections(Image& image) {
  Elf64_Ehdr header;
  const uint64_t head = std::min<uint64_t>(sizeof(header), image.size());
  if (!image.Fetch({0, head})) return Error("header", 0, "cannot be read");
  RETURN_IF_ERROR(CheckHeader(*this, image.bytes().first(head), header));
  const uint64_t length = uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  if (!image.Fetch({header.e_shoff, length})) {
    return Error("section table", header.e_shoff, "truncated");
  }
  const Bytes table = image.bytes().subspan(header.e_shoff, length);
  std::vector<uint32_t> names(header.e_shnum);
  sections.resize(header.e_shnum);
  for (uint32_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr raw{};
    Load(table, i * sizeof(raw), raw);
    ElfSection& section = sections[i];
    section.type = raw.sh_type;
    section.flags = raw.sh_flags;
    section.link = raw.sh_link;
    section.info = raw.sh_info;
    section.offset = raw.sh_offset;
    section.size = raw.sh_size;
    names[i] = raw.sh_name;
    if (!HasContent(section)) continue;
    if (section.offset > image.size() || section.size > image.size() - section.offset) {
      return Error("section table", header.e_shoff + i * sizeof(raw),
                   "a section reaches beyond the end of the file");
    }
  }
  return NameSections(image, names, header.e_shstrndx);
}

absl::Status ElfFile::NameSections(Image& image, const std::vector<uint32_t>& names,
                                   uint32_t index) {
  if (index >= sections.size() || !HasContent(sections[index])) {
    return Error("header", offsetof(Elf64_Ehdr, e_shstrndx), "no section names");
  }
  const ElfSection& strings = sections[index];
  if (!image.Fetch({strings.offset, strings.size})) {
    return Error("section names", strings.offset, "cannot be read");
  }
  const Bytes text = image.bytes().subspan(strings.offset, strings.size);
  for (size_t i = 0; i < names.size(); ++i) sections[i].name = StringAt(text, names[i]);
  return absl::OkStatus();
}

absl::Status ElfFile::ReadContents(Image& image) {
  std::vector<Image::Range> ranges;
  for (ElfSection& section : sections) {
    if (!HasContent(section) || !IsOfUse(section, sections)) continue;
    ranges.push_back({section.offset, section.size});
    section.data = image.bytes().subspan(section.offset, section.size);
  }
  if (!image.Fetch(std::move(ranges))) return Error("sections", 0, "cannot be read");
  return absl::OkStatus();
}

absl::Status ElfFile::ReadSymbols() {
  const auto table = std::find_if(sections.begin(), sections.end(),
                                  [](const ElfSection& s) { return s.type == SHT_SYMTAB; });
  if (table == sections.end()) return Error("symtab", 0, "no symbol table");
  if (table->link >= sections.size()) return Error("symtab", 0, "no symbol names");
  symbols_ = table->data;
  symbol_names_ = sections[table->link].data;
  symbol_count_ = static_cast<uint32_t>(symbols_.size() / sizeof(Elf64_Sym));
  if (symbols_.size() % sizeof(Elf64_Sym) != 0) {
    return Error("symtab", symbol_count_ * sizeof(Elf64_Sym), "truncated");
  }
  for (uint32_t i = 0; i < symbol_count_; ++i) {
    const ElfSymbol each = symbol(i);
    if (!each.defined()) continue;
    if (each.section >= sections.size()) {
      return Error("symtab", i * sizeof(Elf64_Sym), "symbol in a section that does not exist");
    }
    if (each.type == STT_FUNC) code_symbols.push_back(i);
    if (each.type == STT_OBJECT) data_symbols.push_back(i);
  }
  return absl::OkStatus();
}

absl::Status ElfFile::LinkRelocs() {
  uint64_t total = 0;
  for (uint32_t i = 0; i < sections.size(); ++i) {
    const ElfSection& section = sections[i];
    if (section.type != SHT_REL && section.type != SHT_RELA) continue;
    if (section.info >= sections.size()) {
      return Error(section.name, 0, "relocations for a section that does not exist");
    }
    ElfSection& target = sections[section.info];
    if (!(target.flags & SHF_ALLOC)) continue;
    if (section.type == SHT_RELA) return Error(section.name, 0, "RELA relocations");
    target.reloc_sections.push_back(i);
    // Each table is read once, by two threads twice: tables that lie over one another would multiply
    // the work.
    total += section.data.size();
    if (total > file_size_) return Error(section.name, 0, "relocation tables overlap");
  }
  return absl::OkStatus();
}

std::string_view ElfFile::NameOf(const ElfSymbol& symbol) const {
  if (symbol.type == STT_SECTION && symbol.defined()) return sections[symbol.section].name;
  return StringAt(symbol_names_, symbol.name);
}

absl::Status ElfFile::ReadRelocs(const ElfSection& section, std::vector<ElfReloc>& relocs) const {
  relocs.clear();
  bool sorted = true;
  for (uint32_t index : section.reloc_sections) {
    const ElfSection& table = sections[index];
    for (size_t at = 0; at < table.data.size(); at += sizeof(Elf64_Rel)) {
      Elf64_Rel raw;
      if (!Load(table.data, at, raw)) return Error(table.name, at, "truncated");
      const auto symbol = static_cast<uint32_t>(ELF64_R_SYM(raw.r_info));
      if (symbol >= symbol_count_ || raw.r_offset >= section.size) {
        return Error(table.name, at, "relocation of what does not exist");
      }
      sorted = sorted && (relocs.empty() || relocs.back().offset <= raw.r_offset);
      relocs.push_back({raw.r_offset, static_cast<uint32_t>(ELF64_R_TYPE(raw.r_info)), symbol});
    }
  }
  if (!sorted) {
    std::sort(relocs.begin(), relocs.end(), [](const ElfReloc& a, const ElfReloc& b) {
      return a.offset != b.offset ? a.offset < b.offset : a.symbol < b.symbol;
    });
  }
  return absl::OkStatus();
}

const ElfSection* ElfFile::Find(std::string_view section) const {
  for (const ElfSection& candidate : sections) {
    if (candidate.name == section) return &candidate;
  }
  return nullptr;
}

absl::Status ElfFile::Error(std::string_view section, uint64_t offset,
                            const std::string& cause) const {
  // A forged name must not make two lines of one, nor speak to the terminal.
  std::string printable(section.substr(0, kMaxNameInError));
  for (char& c : printable) c = c < ' ' || c > '~' ? '?' : c;
  return base::InvalidArgument("reading object {}: section {}, offset {:#x}: {}", name, printable,
                               offset, cause);
}

}  // namespace bonsai::object
