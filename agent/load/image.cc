// SPDX-License-Identifier: Apache-2.0
#include "agent/load/image.h"

#include <elf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "agent/base/status.h"
#include "agent/kernel/bpf_object.h"
#include "agent/object/elf_file.h"

namespace bonsai::load {
namespace {

using object::ElfFile;
using object::ElfSection;
using object::Insn;

// Numbers no helper has; libbpf marks what it poisons itself by 2001000000 and 2002000000.
constexpr int32_t kCutCall = 1'900'000'000;
constexpr uint32_t kMarks = 1'000'000;

constexpr std::streamoff kMaxFileBytes = 256 << 20;

constexpr uint8_t kCall = BPF_JMP | BPF_CALL;
constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;

// Index of the one code section of that name.
absl::StatusOr<uint32_t> FindCode(const ElfFile& elf, const std::string& name) {
  std::optional<uint32_t> found;
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    if (elf.sections[i].name != name || !elf.sections[i].executable()) continue;
    if (found) return elf.Error(name, 0, "two code sections of that name");
    found = i;
  }
  if (!found) return elf.Error(name, 0, "no code section of that name");
  return *found;
}

// Overwrites the instruction at `offset` of the section; its second slot too when it has one.
// Returns the offsets overwritten.
absl::StatusOr<std::vector<uint64_t>> Poison(const ElfFile& elf, const ElfSection& code,
                                             uint64_t offset, uint32_t mark, Image& image) {
  Insn insn;
  if (!object::Load(code.data, offset, insn)) return elf.Error(code.name, offset, "no code there");
  const bool call = insn.opcode == kCall && insn.src == BPF_PSEUDO_CALL;
  if (!call && insn.opcode != kLoadImm64) return elf.Error(code.name, offset, "no call there");
  std::vector<uint64_t> offsets{offset};
  if (!call) offsets.push_back(offset + sizeof(Insn));
  Insn poison;
  poison.opcode = kCall;
  poison.imm = kCutCall + static_cast<int32_t>(mark);
  for (uint64_t at : offsets) {
    if (!object::Load(code.data, at, insn)) return elf.Error(code.name, at, "truncated");
    std::memcpy(image.data() + code.offset + at, &poison, sizeof(poison));
  }
  return offsets;
}

// Closes the gaps in one table of relocations and makes its section shorter. `entry`: where the
// section table describes it.
void DropRelocations(const ElfSection& table, size_t entry, const std::set<uint64_t>& offsets,
                     Image& image) {
  uint8_t* const begin = image.data() + table.offset;
  uint8_t* end = begin;
  for (size_t at = 0; at + sizeof(Elf64_Rel) <= table.size; at += sizeof(Elf64_Rel)) {
    Elf64_Rel reloc;
    std::memcpy(&reloc, begin + at, sizeof(reloc));
    if (offsets.contains(reloc.r_offset)) continue;
    std::memcpy(end, &reloc, sizeof(reloc));
    end += sizeof(reloc);
  }
  const uint64_t size = static_cast<uint64_t>(end - begin);
  std::memcpy(image.data() + entry + offsetof(Elf64_Shdr, sh_size), &size, sizeof(size));
}

}  // namespace

absl::StatusOr<Image> ReadImage(const std::string& name, const std::string& path) {
  const std::string what = fmt::format("opening object {} ({})", name, path);
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return base::ErrnoStatus(errno, what);
  const std::streamoff size = file.tellg();
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error) || size < 0 || size > kMaxFileBytes) {
    return base::InvalidArgument("{}: not a file of at most {} bytes", what, kMaxFileBytes);
  }
  Image image(static_cast<size_t>(size));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(image.data()), static_cast<std::streamsize>(image.size()))) {
    return base::ErrnoStatus(EIO, what);
  }
  return image;
}

absl::Status CutCalls(const std::string& name, const std::vector<plan::CodePlace>& calls,
                      uint32_t mark, Image& image) {
  if (mark >= kMarks) return base::Internal("cutting calls of object {}: too many", name);
  // Views into a copy: what was checked in parsing stays as it was, though in a forged file a section
  // may lie over the headers.
  const std::shared_ptr<object::Image> parsed = object::Image::Of(image);
  ASSIGN_OR_RETURN(const ElfFile elf, ElfFile::Parse(name, *parsed));
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof(header));
  std::map<uint32_t, std::set<uint64_t>> dropped;
  for (const plan::CodePlace& call : calls) {
    ASSIGN_OR_RETURN(const uint32_t index, FindCode(elf, call.section));
    ASSIGN_OR_RETURN(const std::vector<uint64_t> offsets,
                     Poison(elf, elf.sections[index], uint64_t{call.slot} * sizeof(Insn), mark,
                            image));
    dropped[index].insert(offsets.begin(), offsets.end());
  }
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    const ElfSection& table = elf.sections[i];
    if (table.type != SHT_REL || !dropped.contains(table.info)) continue;
    DropRelocations(table, header.e_shoff + i * sizeof(Elf64_Shdr), dropped.at(table.info), image);
  }
  return absl::OkStatus();
}

std::optional<uint32_t> CutCallIn(const std::string& verifier_log) {
  const std::optional<int64_t> helper = kernel::UnknownHelper(verifier_log);
  if (!helper || *helper < kCutCall || *helper >= kCutCall + int64_t{kMarks}) return std::nullopt;
  return static_cast<uint32_t>(*helper - kCutCall);
}

}  // namespace bonsai::load
