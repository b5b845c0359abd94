// SPDX-License-Identifier: Apache-2.0
// BTF type information and its .BTF.ext companion, as far as an object's maps, variables,
// functions and tags need it. Checked once in Parse(); ids are checked at each use.
#pragma once

#include <absl/status/statusor.h>
#include <linux/btf.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/object/elf_file.h"

namespace bonsai::object {

class Btf {
 public:
  struct Type {
    uint32_t name = 0;          // string offset
    uint8_t kind = BTF_KIND_UNKN;
    bool kflag = false;
    uint16_t vlen = 0;
    uint32_t size_or_type = 0;
    uint32_t data = 0;          // offset of what follows the common part
  };
  struct Member {
    std::string_view name;
    uint32_t type = 0;
    uint32_t bit_offset = 0;
  };
  struct SectionVariable {
    uint32_t type = 0;          // id of the VAR
    uint32_t offset = 0;
    uint32_t size = 0;
  };

  static absl::StatusOr<Btf> Parse(const ElfFile& elf, const ElfSection& section);

  uint32_t count() const { return static_cast<uint32_t>(types_.size()); }
  const Type& type(uint32_t id) const;     // the void type for an id out of range
  std::string_view Name(const Type& type) const { return StringAt(strings_, type.name); }
  std::string_view String(uint32_t offset) const { return StringAt(strings_, offset); }
  Bytes strings() const { return strings_; }

  // `id` without typedefs, qualifiers and type tags; 0 for a cycle.
  uint32_t Strip(uint32_t id) const;
  uint64_t Size(uint32_t id) const;        // bytes; 0: unknown
  uint32_t ArrayElement(const Type& type) const;
  uint32_t ArrayLength(const Type& type) const;
  Member MemberAt(const Type& type, uint32_t index) const;          // struct, union
  SectionVariable VariableAt(const Type& type, uint32_t index) const;  // DATASEC
  uint32_t Linkage(const Type& type) const;                         // VAR
  uint32_t IntEncoding(const Type& type) const;                     // INT: BTF_INT_*
  // Decl tags on the whole of the type with this id.
  const std::vector<std::string_view>& Tags(uint32_t id) const;
  // The FUNC of that name, or 0.
  uint32_t FindFunction(std::string_view name) const;

 private:
  uint32_t Word(uint32_t offset) const;

  Bytes data_, strings_;
  std::vector<Type> types_;                // [0] is void
  std::map<uint32_t, std::vector<std::string_view>> tags_;
  std::map<std::string_view, uint32_t> functions_;
};

// Records of .BTF.ext by ELF section name; instruction offsets in bytes, as in that section.
struct BtfExt {
  using FuncInfo = std::pair<uint32_t, uint32_t>;  // instruction offset, id of the FUNC
  struct Line {
    uint32_t offset = 0, file = 0, text = 0, line = 0;
  };
  std::map<std::string_view, std::vector<FuncInfo>> functions;
  std::map<std::string_view, std::vector<Line>> lines;
  std::map<std::string_view, std::vector<uint32_t>> core_relocs;  // instruction offsets

  static absl::StatusOr<BtfExt> Parse(const ElfFile& elf, const ElfSection& section, const Btf& btf);
};

}  // namespace bonsai::object
