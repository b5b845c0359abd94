// SPDX-License-Identifier: Apache-2.0
#include "agent/object/btf.h"

#include <algorithm>

#include "agent/base/status.h"

namespace bonsai::object {
namespace {

constexpr int kMaxDepth = 64;  // of typedefs, qualifiers and arrays: ends cycles
constexpr size_t kCommonSize = sizeof(btf_type);
constexpr size_t kUsualSize = 20;     // of a type with what follows
constexpr size_t kMaxTags = 64;       // of one type; only forged ones have more

// Bytes that follow the common part of a type; -1: unknown kind.
int64_t ExtraSize(const Btf::Type& type) {
  const int64_t vlen = type.vlen;
  switch (type.kind) {
    case BTF_KIND_INT: return 4;
    case BTF_KIND_ARRAY: return sizeof(btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION: return vlen * static_cast<int64_t>(sizeof(btf_member));
    case BTF_KIND_ENUM: return vlen * static_cast<int64_t>(sizeof(btf_enum));
    case BTF_KIND_FUNC_PROTO: return vlen * static_cast<int64_t>(sizeof(btf_param));
    case BTF_KIND_VAR: return sizeof(btf_var);
    case BTF_KIND_DATASEC: return vlen * static_cast<int64_t>(sizeof(btf_var_secinfo));
    case BTF_KIND_DECL_TAG: return 4;
    case BTF_KIND_ENUM64: return vlen * 12;
    case BTF_KIND_PTR: case BTF_KIND_FWD: case BTF_KIND_TYPEDEF: case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST: case BTF_KIND_RESTRICT: case BTF_KIND_FUNC: case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG: return 0;
    default: return -1;
  }
}

bool IsAlias(uint8_t kind) {
  return kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_CONST ||
         kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG;
}

}  // namespace

absl::StatusOr<Btf> Btf::Parse(const ElfFile& elf, std::string_view section, Bytes all) {
  btf_header header;
  if (!Load(all, 0, header)) return elf.Error(section, 0, "truncated header");
  if (header.magic != BTF_MAGIC || header.version != BTF_VERSION) {
    return elf.Error(section, 0, "not BTF of version 1 and this byte order");
  }
  const uint64_t types_at = uint64_t{header.hdr_len} + header.type_off;
  const uint64_t strings_at = uint64_t{header.hdr_len} + header.str_off;
  if (header.hdr_len < sizeof(header) || types_at + header.type_len > all.size() ||
      strings_at + header.str_len > all.size()) {
    return elf.Error(section, 0, "truncated");
  }
  Btf btf;
  btf.data_ = all.subspan(types_at, header.type_len);
  btf.strings_ = all.subspan(strings_at, header.str_len);
  RETURN_IF_ERROR(btf.ReadTypes(elf, section, types_at));
  const auto before = [](const Tag& a, const Tag& b) {
    return a.target != b.target ? a.target < b.target : a.id < b.id;
  };
  if (!std::is_sorted(btf.tags_.begin(), btf.tags_.end(), before)) {
    std::sort(btf.tags_.begin(), btf.tags_.end(), before);
  }
  return btf;
}

absl::Status Btf::ReadTypes(const ElfFile& elf, std::string_view section, uint64_t types_at) {
  types_.reserve(data_.size() / kUsualSize + 1);
  types_.push_back(0);
  for (size_t at = 0; at < data_.size();) {
    const auto id = static_cast<uint32_t>(types_.size());
    types_.push_back(static_cast<uint32_t>(at));
    if (data_.size() - at < kCommonSize) return elf.Error(section, types_at + at, "truncated type");
    const Type type = this->type(id);
    const int64_t extra = ExtraSize(type);
    if (extra < 0) return elf.Error(section, types_at + at, "unknown kind of type");
    const size_t size = kCommonSize + static_cast<size_t>(extra);
    if (size > data_.size() - at) return elf.Error(section, types_at + at, "truncated type");
    if (type.kind == BTF_KIND_DATASEC) sections_.push_back(id);
    // -1: the tag stands on the whole, not on a member or parameter.
    if (type.kind == BTF_KIND_DECL_TAG && Word(type.data) == UINT32_MAX) {
      tags_.push_back({type.size_or_type, type.name, id});
    }
    at += size;
  }
  return absl::OkStatus();
}

uint32_t Btf::Word(uint32_t offset) const {
  uint32_t word = 0;
  return Load(data_, offset, word) ? word : 0;
}

Btf::Type Btf::type(uint32_t id) const {
  btf_type raw;
  if (id == 0 || id >= types_.size() || !Load(data_, types_[id], raw)) return {};
  return {.name = raw.name_off, .kind = static_cast<uint8_t>(BTF_INFO_KIND(raw.info)),
          .kflag = BTF_INFO_KFLAG(raw.info) != 0,
          .vlen = static_cast<uint16_t>(BTF_INFO_VLEN(raw.info)), .size_or_type = raw.type,
          .data = types_[id] + static_cast<uint32_t>(kCommonSize)};
}

uint32_t Btf::Strip(uint32_t id) const {
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const Type alias = type(id);
    if (!IsAlias(alias.kind)) return id;
    id = alias.size_or_type;
  }
  return 0;
}

uint64_t Btf::Size(uint32_t id) const {
  uint64_t count = 1;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const Type t = type(id = Strip(id));
    switch (t.kind) {
      case BTF_KIND_INT: case BTF_KIND_STRUCT: case BTF_KIND_UNION: case BTF_KIND_ENUM:
      case BTF_KIND_FLOAT: case BTF_KIND_DATASEC: case BTF_KIND_ENUM64:
        return count * t.size_or_type;
      case BTF_KIND_PTR:
        return count * 8;
      case BTF_KIND_ARRAY:
        if (__builtin_mul_overflow(count, uint64_t{ArrayLength(t)}, &count) || count > UINT32_MAX) {
          return 0;
        }
        id = ArrayElement(t);
        break;
      default:
        return 0;
    }
  }
  return 0;
}

uint32_t Btf::ArrayElement(const Type& type) const {
  return type.kind == BTF_KIND_ARRAY ? Word(type.data) : 0;
}

uint32_t Btf::ArrayLength(const Type& type) const {
  return type.kind == BTF_KIND_ARRAY ? Word(type.data + 8) : 0;
}

Btf::Member Btf::MemberAt(const Type& type, uint32_t index) const {
  const bool record = type.kind == BTF_KIND_STRUCT || type.kind == BTF_KIND_UNION;
  if (!record || index >= type.vlen) return {};
  const uint32_t at = type.data + index * static_cast<uint32_t>(sizeof(btf_member));
  const uint32_t offset = Word(at + 8);
  if (!type.kflag) return {Word(at), Word(at + 4), offset};
  return {Word(at), Word(at + 4), BTF_MEMBER_BIT_OFFSET(offset), BTF_MEMBER_BITFIELD_SIZE(offset)};
}

Btf::SectionVariable Btf::VariableAt(const Type& type, uint32_t index) const {
  if (type.kind != BTF_KIND_DATASEC || index >= type.vlen) return {};
  const uint32_t at = type.data + index * static_cast<uint32_t>(sizeof(btf_var_secinfo));
  return {Word(at), Word(at + 4), Word(at + 8)};
}

uint32_t Btf::Linkage(const Type& type) const {
  return type.kind == BTF_KIND_VAR ? Word(type.data) : uint32_t{BTF_VAR_STATIC};
}

uint32_t Btf::IntEncoding(const Type& type) const {
  return type.kind == BTF_KIND_INT ? BTF_INT_ENCODING(Word(type.data)) : 0;
}

uint32_t Btf::IntBits(const Type& type) const {
  return type.kind == BTF_KIND_INT ? BTF_INT_BITS(Word(type.data)) : 0;
}

uint32_t Btf::FirstValue(const Type& type) const {
  const bool is_enum = type.kind == BTF_KIND_ENUM || type.kind == BTF_KIND_ENUM64;
  return is_enum && type.vlen > 0 ? Word(type.data + 4) : 0;
}

std::vector<std::string_view> Btf::Tags(uint32_t id) const {
  std::vector<std::string_view> tags;
  auto tag = std::lower_bound(tags_.begin(), tags_.end(), id,
                              [](const Tag& t, uint32_t target) { return t.target < target; });
  for (; tag != tags_.end() && tag->target == id && tags.size() < kMaxTags; ++tag) {
    tags.push_back(String(tag->name));
  }
  return tags;
}

std::vector<uint32_t> Btf::TaggedFunctions() const {
  std::vector<uint32_t> ids;
  for (const Tag& tag : tags_) {
    if (!ids.empty() && ids.back() == tag.target) continue;
    if (type(tag.target).kind == BTF_KIND_FUNC) ids.push_back(tag.target);
  }
  return ids;
}

}  // namespace bonsai::object
