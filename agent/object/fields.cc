// SPDX-License-Identifier: Apache-2.0
// Parts of constants by path. The types are parsed again for each question: it is asked by people,
// and reading must not pay for it.
#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

#include "agent/base/status.h"
#include "agent/object/btf.h"
#include "agent/object/image.h"
#include "agent/object/object_spec.h"
#include "agent/settings/nearest.h"

namespace bonsai::object {
namespace {

constexpr std::string_view kPrefix = "__config_";
constexpr int kMaxDepth = 32;           // of anonymous members in one another: ends cycles
constexpr size_t kMaxPath = 512, kMaxNames = 4096;  // of one question, and to compare with

// One step of a path: ".name" or "[index]".
struct Step {
  std::string_view name;                // "": an index
  uint64_t index = 0;
};
struct Path {
  std::string_view name;
  std::vector<Step> steps;
};

absl::Status NoPath(std::string_view text) {
  return base::InvalidArgument("\"{}\": expected name, name.field or name[index]",
                               text.substr(0, kMaxPath));
}

absl::StatusOr<Path> ParsePath(std::string_view text) {
  if (text.size() > kMaxPath) return NoPath(text);
  Path path;
  size_t at = std::min(text.find_first_of(".["), text.size());
  path.name = text.substr(0, at);
  if (path.name.empty()) return NoPath(text);
  while (at < text.size()) {
    const bool index = text[at++] == '[';
    const size_t end =
        index ? text.find(']', at) : std::min(text.find_first_of(".[", at), text.size());
    if (end == std::string_view::npos || end == at) return NoPath(text);
    const std::string_view part = text.substr(at, end - at);
    Step step{.name = part};
    if (index) {
      step.name = {};
      const char* const last = part.data() + part.size();
      const auto [stop, error] = std::from_chars(part.data(), last, step.index);
      if (error != std::errc() || stop != last) return NoPath(text);
    }
    path.steps.push_back(step);
    at = index ? end + 1 : end;
    if (at < text.size() && text[at] != '.' && text[at] != '[') return NoPath(text);
  }
  return path;
}

std::string Nearest(std::string_view name, const std::vector<std::string>& known) {
  size_t best = std::numeric_limits<size_t>::max();
  std::string nearest;
  for (const std::string& candidate : known) {
    if (candidate.size() > kMaxPath) continue;
    const size_t distance = settings::EditDistance(std::string(name), candidate);
    if (distance < best) nearest = candidate;
    best = std::min(best, distance);
  }
  return nearest.empty() ? "" : "; nearest: " + nearest;
}

// What stands at a step of the way: some bits of a section and their type.
struct Spot {
  uint64_t bit = 0;                     // inside the section
  uint32_t bit_size = 0;                // of a bit field; 0: the whole type
  uint32_t type = 0;
};

class Walker {
 public:
  explicit Walker(const Btf& btf) : btf_(btf) {}

  absl::StatusOr<Spot> Walk(Spot spot, const Path& path) const {
    std::string done(path.name);
    for (const Step& step : path.steps) {
      ASSIGN_OR_RETURN(spot, step.name.empty() ? Element(spot, step.index, done)
                                               : Member(spot, step.name, done));
      done += step.name.empty() ? "[" + std::to_string(step.index) + "]"
                                : "." + std::string(step.name);
    }
    return spot;
  }

 private:
  absl::StatusOr<Spot> Element(Spot spot, uint64_t index, const std::string& done) const {
    const Btf::Type array = btf_.type(btf_.Strip(spot.type));
    if (array.kind != BTF_KIND_ARRAY) return base::NotFound("{} is no array", done);
    const uint32_t length = btf_.ArrayLength(array);
    if (index >= length) {
      return base::NotFound("{} has no element {}; it has {}", done, index, length);
    }
    const uint32_t element = btf_.ArrayElement(array);
    return Spot{.bit = spot.bit + index * btf_.Size(element) * 8, .type = element};
  }

  absl::StatusOr<Spot> Member(Spot spot, std::string_view name, const std::string& done) const {
    if (!IsRecord(btf_.Strip(spot.type))) return base::NotFound("{} has no fields", done);
    std::vector<std::string> known;
    const auto found = Search(spot, name, 0, known);
    if (found) return *found;
    return base::NotFound("{} has no field {}{}", done, name, Nearest(name, known));
  }

  // Through anonymous members, as in C.
  std::optional<Spot> Search(Spot spot, std::string_view name, int depth,
                             std::vector<std::string>& known) const {
    const Btf::Type record = btf_.type(btf_.Strip(spot.type));
    for (uint32_t i = 0; i < record.vlen && known.size() < kMaxNames; ++i) {
      const Btf::Member member = btf_.MemberAt(record, i);
      const Spot inside{spot.bit + member.bit_offset, member.bit_size, member.type};
      const std::string_view member_name = btf_.String(member.name);
      if (member_name == name) return inside;
      known.emplace_back(member_name);
      if (!member_name.empty() || depth >= kMaxDepth) continue;
      if (!IsRecord(btf_.Strip(member.type))) continue;
      if (const auto found = Search(inside, name, depth + 1, known)) return found;
    }
    return std::nullopt;
  }

  bool IsRecord(uint32_t id) const {
    const uint8_t kind = btf_.type(id).kind;
    return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
  }

  const Btf& btf_;
};

Field FieldAt(const Btf& btf, const Spot& spot) {
  const Btf::Type type = btf.type(btf.Strip(spot.type));
  const uint64_t size = btf.Size(spot.type);
  const uint32_t encoding = btf.IntEncoding(type);
  const bool is_enum = type.kind == BTF_KIND_ENUM || type.kind == BTF_KIND_ENUM64;
  Field field{.offset = static_cast<uint32_t>(spot.bit / 8), .size = static_cast<uint32_t>(size)};
  field.is_bool = (encoding & BTF_INT_BOOL) != 0;
  field.is_signed = is_enum ? type.kflag : (encoding & BTF_INT_SIGNED) != 0;
  const bool is_number = type.kind == BTF_KIND_INT || is_enum;
  field.is_integer = is_number && std::has_single_bit(size) && size <= 8;
  // Without bit sizes in the struct, an int of fewer bits than its bytes says it.
  uint32_t bits = spot.bit_size;
  if (bits == 0 && btf.IntBits(type) < size * 8) bits = btf.IntBits(type);
  if (bits == 0) return field;
  field.bit_offset = static_cast<uint32_t>(spot.bit % 8);
  field.bit_size = bits;
  field.size = (field.bit_offset + bits + 7) / 8;
  return field;
}

const Constant* FindByName(const ObjectSpec& object, std::string_view name) {
  const Constant* found = object.FindConstant(std::string(name));
  return found != nullptr ? found : object.FindConstant(std::string(kPrefix) + std::string(name));
}

absl::StatusOr<Field> FieldIn(const ObjectSpec& object, const Constant& constant,
                              const Path& path) {
  if (object.image == nullptr || constant.type == 0) {
    return base::NotFound("{} has no known fields: the object lacks type information",
                          constant.name);
  }
  ElfFile elf;
  elf.name = object.path;
  ASSIGN_OR_RETURN(const Btf btf, Btf::Parse(elf, ".BTF", object.image->btf));
  const Spot whole{.bit = uint64_t{constant.offset} * 8, .type = constant.type};
  ASSIGN_OR_RETURN(const Spot spot, Walker(btf).Walk(whole, path));
  Field field = FieldAt(btf, spot);
  field.section = constant.section;
  const uint64_t end = uint64_t{constant.offset} + constant.size;
  const uint64_t first = spot.bit / 8;
  if (field.size == 0 || first < constant.offset || first > end || field.size > end - first) {
    return base::InvalidArgument("{}: the types of object {} put it outside of its constant",
                                 path.name, object.path);
  }
  if (field.bit_size != 0 && field.size > sizeof(uint64_t)) {
    return base::InvalidArgument("{}: a bit field over more than 8 bytes", path.name);
  }
  return field;
}

}  // namespace

absl::StatusOr<Field> FindField(const ObjectSpec& object, std::string_view text) {
  ASSIGN_OR_RETURN(const Path path, ParsePath(text));
  const Constant* constant = FindByName(object, path.name);
  if (constant == nullptr) {
    std::vector<std::string> known;
    for (const Constant& each : object.constants) {
      const bool prefixed = each.name.starts_with(kPrefix) && !path.name.starts_with(kPrefix);
      if (known.size() == kMaxNames) break;
      known.push_back(each.name.substr(prefixed ? kPrefix.size() : 0));
    }
    return base::NotFound("object {} has no constant {}{}", object.name, path.name,
                          Nearest(path.name, known));
  }
  if (!path.steps.empty()) return FieldIn(object, *constant, path);
  return Field{.section = constant->section, .offset = constant->offset, .size = constant->size,
               .is_bool = constant->is_bool, .is_signed = constant->is_signed,
               .is_integer = constant->is_integer};
}

}  // namespace bonsai::object
