// SPDX-License-Identifier: Apache-2.0
// BTF type information and its .BTF.ext companion, as far as an object's maps, variables,
// functions and tags need it. Sizes are checked once in Parse(), ids at each use; what a type says
// is decoded when asked for. Views of the bytes given to Parse(), which must outlive it.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <linux/btf.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/object/elf_file.h"

namespace bonsai::object {

// By name. Debian's abseil does not hash std::string_view itself.
template <typename Value>
using ByName = absl::flat_hash_map<std::string_view, Value, std::hash<std::string_view>,
                                   std::equal_to<std::string_view>>;

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
    uint32_t name = 0;          // string offset
    uint32_t type = 0;
    uint32_t bit_offset = 0;
    uint32_t bit_size = 0;      // of a bit field; 0: the whole type
  };
  struct SectionVariable {
    uint32_t type = 0;          // id of the VAR
    uint32_t offset = 0;
    uint32_t size = 0;
  };
  struct Tag {
    uint32_t target = 0, name = 0, id = 0;  // type id; string offset; its own type id
  };

  // `name`: of the file, for errors; `section`: of the types in it.
  static absl::StatusOr<Btf> Parse(const ElfFile& elf, std::string_view section, Bytes bytes);

  uint32_t count() const { return static_cast<uint32_t>(types_.size()); }
  Type type(uint32_t id) const;            // the void type for an id out of range
  std::string_view Name(const Type& type) const { return StringAt(strings_, type.name); }
  std::string_view String(uint32_t offset) const { return StringAt(strings_, offset); }
  Bytes strings() const { return strings_; }
  const std::vector<uint32_t>& sections() const { return sections_; }  // ids of the DATASECs

  // `id` without typedefs, qualifiers and type tags; 0 for a cycle.
  uint32_t Strip(uint32_t id) const;
  uint64_t Size(uint32_t id) const;        // bytes; 0: unknown
  uint32_t ArrayElement(const Type& type) const;
  uint32_t ArrayLength(const Type& type) const;
  Member MemberAt(const Type& type, uint32_t index) const;          // struct, union
  SectionVariable VariableAt(const Type& type, uint32_t index) const;  // DATASEC
  uint32_t Linkage(const Type& type) const;                         // VAR
  uint32_t IntEncoding(const Type& type) const;                     // INT: BTF_INT_*
  uint32_t IntBits(const Type& type) const;                         // INT
  uint32_t FirstValue(const Type& type) const;                      // ENUM, ENUM64: low half
  // Decl tags on the whole of the type with this id; of very many the first.
  std::vector<std::string_view> Tags(uint32_t id) const;
  // Ids of the FUNCs that have such tags, ascending.
  std::vector<uint32_t> TaggedFunctions() const;

 private:
  uint32_t Word(uint32_t offset) const;
  absl::Status ReadTypes(const ElfFile& elf, std::string_view section, uint64_t types_at);

  Bytes data_, strings_;
  std::vector<uint32_t> types_;            // where each stands in data_; [0] is void
  std::vector<uint32_t> sections_;
  std::vector<Tag> tags_;                  // sorted by target
};

// Records of .BTF.ext by ELF section name; instruction offsets in bytes, as in that section.
struct BtfExt {
  struct Records {
    Bytes bytes;
    uint32_t count = 0, stride = 0;

    uint32_t Word(uint32_t record, uint32_t word) const {
      uint32_t value = 0;
      std::memcpy(&value, bytes.data() + size_t{record} * stride + word * 4, sizeof(value));
      return value;
    }
  };
  ByName<Records> functions;                     // offset, id of the FUNC
  ByName<Records> lines;                         // offset, file, text, line and column
  ByName<std::vector<uint32_t>> core_relocs;     // offsets, ascending

  static absl::StatusOr<BtfExt> Parse(const ElfFile& elf, const ElfSection& section, const Btf& btf);
};

}  // namespace bonsai::object
