// SPDX-License-Identifier: Apache-2.0
// A real object with some of its bytes changed by what they mean.
#pragma once

#include <elf.h>
#include <linux/btf.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/unit/object/objects.h"

namespace bonsai::object {

// References point into `bytes` and die with the next Move() or Append().
class Forge {
 public:
  explicit Forge(const std::string& source)
      : bytes(FileBytes(ObjectPath(source, Variants().front()))) {}

  Elf64_Ehdr& header() { return At<Elf64_Ehdr>(0); }
  Elf64_Shdr& section(size_t index) {
    return At<Elf64_Shdr>(header().e_shoff + index * sizeof(Elf64_Shdr));
  }
  Elf64_Shdr& section(const std::string& name) {
    for (size_t i = 0; i < header().e_shnum; ++i) {
      if (name == Text(section(header().e_shstrndx), section(i).sh_name)) return section(i);
    }
    ADD_FAILURE() << "no section " << name;
    return section(0);
  }
  Elf64_Sym& symbol(const std::string& name) {
    Elf64_Shdr& table = section(".symtab");
    for (size_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
      auto& each = At<Elf64_Sym>(table.sh_offset + at);
      if (name == Text(section(table.sh_link), each.st_name)) return each;
    }
    ADD_FAILURE() << "no symbol " << name;
    return At<Elf64_Sym>(table.sh_offset);
  }
  Elf64_Rel& reloc(const std::string& table, size_t index) {
    return At<Elf64_Rel>(section(table).sh_offset + index * sizeof(Elf64_Rel));
  }
  btf_header& btf() { return At<btf_header>(section(".BTF").sh_offset); }
  // The first type of that kind (and name, unless empty).
  btf_type& type(uint32_t kind, const std::string& name = "") {
    const size_t types = section(".BTF").sh_offset + btf().hdr_len + btf().type_off;
    for (size_t at = 0; at < btf().type_len;) {
      auto& each = At<btf_type>(types + at);
      const char* text = reinterpret_cast<const char*>(
          &bytes[section(".BTF").sh_offset + btf().hdr_len + btf().str_off + each.name_off]);
      if (BTF_INFO_KIND(each.info) == kind && (name.empty() || name == text)) return each;
      at += sizeof(btf_type) + Extra(BTF_INFO_KIND(each.info), BTF_INFO_VLEN(each.info));
    }
    ADD_FAILURE() << "no type of kind " << kind;
    return At<btf_type>(types);
  }
  // The id of a type() of this object.
  uint32_t IdOf(const btf_type& wanted) {
    const size_t types = section(".BTF").sh_offset + btf().hdr_len + btf().type_off;
    uint32_t id = 1;
    for (size_t at = 0; at < btf().type_len; ++id) {
      auto& each = At<btf_type>(types + at);
      if (&each == &wanted) return id;
      at += sizeof(btf_type) + Extra(BTF_INFO_KIND(each.info), BTF_INFO_VLEN(each.info));
    }
    return 0;
  }
  // Gives a section another content, behind the rest of the file, at an offset of this remainder
  // modulo 8.
  void Move(const std::string& name, const std::vector<uint8_t>& content, size_t remainder = 0) {
    while (bytes.size() % 8 != remainder) bytes.push_back(0);
    const size_t offset = bytes.size();
    bytes.insert(bytes.end(), content.begin(), content.end());
    Elf64_Shdr& moved = section(name);
    moved.sh_offset = offset;
    moved.sh_size = content.size();
  }
  std::vector<uint8_t> Content(const std::string& name) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(section(name).sh_offset);
    return {begin, begin + static_cast<std::ptrdiff_t>(section(name).sh_size)};
  }

  absl::StatusOr<ObjectSpec> Read() const { return ReadBytes("x.bpf.o", bytes); }

  std::vector<uint8_t> bytes;

 private:
  template <typename T>
  T& At(size_t offset) {
    return reinterpret_cast<T&>(bytes.at(offset));
  }
  const char* Text(const Elf64_Shdr& table, size_t offset) {
    return reinterpret_cast<const char*>(&bytes.at(table.sh_offset + offset));
  }
  static size_t Extra(uint32_t kind, size_t vlen) {
    switch (kind) {
      case BTF_KIND_INT: case BTF_KIND_VAR: case BTF_KIND_DECL_TAG: return 4;
      case BTF_KIND_ARRAY: return sizeof(btf_array);
      case BTF_KIND_STRUCT: case BTF_KIND_UNION: return vlen * sizeof(btf_member);
      case BTF_KIND_ENUM: return vlen * sizeof(btf_enum);
      case BTF_KIND_ENUM64: case BTF_KIND_DATASEC: return vlen * 12;
      case BTF_KIND_FUNC_PROTO: return vlen * sizeof(btf_param);
      default: return 0;
    }
  }
};

}  // namespace bonsai::object
