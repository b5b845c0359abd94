// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/base/status.h"
#include "agent/object/btf.h"

namespace bonsai::object {
namespace {

struct Header {
  uint16_t magic;
  uint8_t version, flags;
  uint32_t hdr_len;
  uint32_t func_off, func_len;
  uint32_t line_off, line_len;
};
struct CoreHeader {  // follows when hdr_len says so
  uint32_t off, len;
};

// Walks one table: a record size, then for each ELF section its name, a count and the records.
// `visit` takes the section's name and its records.
template <typename Visit>
absl::Status Walk(const ElfFile& elf, const ElfSection& section, const Btf& btf, uint64_t offset,
                  uint32_t length, uint32_t min_record, const Visit& visit) {
  if (length == 0) return absl::OkStatus();
  if (offset + length > section.data.size()) return elf.Error(section.name, offset, "truncated");
  const Bytes table = section.data.subspan(offset, length);
  uint32_t record = 0;
  if (!Load(table, 0, record) || record < min_record) {
    return elf.Error(section.name, offset, "bad record size");
  }
  for (size_t at = 4; at < table.size();) {
    uint32_t name = 0, count = 0;
    if (!Load(table, at, name) || !Load(table, at + 4, count)) {
      return elf.Error(section.name, offset + at, "truncated");
    }
    at += 8;
    if (uint64_t{count} * record > table.size() - at) {
      return elf.Error(section.name, offset + at, "truncated");
    }
    const size_t size = size_t{count} * record;
    visit(btf.String(name), BtfExt::Records{table.subspan(at, size), count, record});
    at += size;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BtfExt> BtfExt::Parse(const ElfFile& elf, const ElfSection& section,
                                     const Btf& btf) {
  Header header;
  if (!Load(section.data, 0, header)) return elf.Error(section.name, 0, "truncated header");
  if (header.magic != BTF_MAGIC || header.version != BTF_VERSION ||
      header.hdr_len < sizeof(header)) {
    return elf.Error(section.name, 0, "not BTF.ext of version 1 and this byte order");
  }
  CoreHeader core{};
  if (header.hdr_len >= sizeof(header) + sizeof(core)) Load(section.data, sizeof(header), core);
  BtfExt ext;
  const uint64_t base = header.hdr_len;
  // Were a section to come twice, its first records would be taken: they are only for people. Not
  // so those of CO-RE.
  RETURN_IF_ERROR(Walk(elf, section, btf, base + header.func_off, header.func_len, 8,
                       [&](std::string_view name, const Records& records) {
                         ext.functions.emplace(name, records);
                       }));
  RETURN_IF_ERROR(Walk(elf, section, btf, base + header.line_off, header.line_len, 16,
                       [&](std::string_view name, const Records& records) {
                         ext.lines.emplace(name, records);
                       }));
  RETURN_IF_ERROR(Walk(elf, section, btf, base + core.off, core.len, 16,
                       [&](std::string_view name, const Records& records) {
                         std::vector<uint32_t>& offsets = ext.core_relocs[name];
                         for (uint32_t i = 0; i < records.count; ++i) {
                           offsets.push_back(records.Word(i, 0));
                         }
                       }));
  for (auto& [name, offsets] : ext.core_relocs) std::sort(offsets.begin(), offsets.end());
  return ext;
}

}  // namespace bonsai::object
