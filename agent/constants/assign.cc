// SPDX-License-Identifier: Apache-2.0
#include "agent/constants/assign.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>

#include "agent/base/status.h"
#include "agent/constants/number.h"
#include "agent/settings/nearest.h"
#include "agent/settings/text.h"
#include "agent/settings/value.h"

namespace bonsai::constants {
namespace {

using object::Constant;
using object::Field;
using object::ObjectSpec;
using settings::Printable;

constexpr std::string_view kPrefix = "__config_";
constexpr std::string_view kHex = "hex:";
constexpr size_t kLongestName = 128;  // keeps hostile names cheap

std::string Bytes(size_t count) { return fmt::format("{} byte{}", count, count == 1 ? "" : "s"); }

std::string SnakeCase(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// The constant's part of "constant.field[1]". Statics of a function have a dot in their own name.
std::string HeadOf(const ObjectSpec& object, const std::string& path) {
  if (object.FindConstant(path) != nullptr) return path;
  return path.substr(0, path.find_first_of(".["));
}

const Constant* FindExact(const ObjectSpec& object, const std::string& head) {
  const Constant* exact = object.FindConstant(head);
  return exact != nullptr ? exact : object.FindConstant(std::string(kPrefix) + head);
}

std::vector<const Constant*> Candidates(const ObjectSpec& object, const std::string& head) {
  if (const Constant* exact = FindExact(object, head)) return {exact};
  std::vector<const Constant*> found;
  for (const Constant& constant : object.constants) {
    if (!head.empty() && constant.name.ends_with("_" + head)) found.push_back(&constant);
  }
  return found;
}

std::string Nearest(const ObjectSpec& object, const std::string& head) {
  const std::string wanted = SnakeCase(head.substr(0, kLongestName));
  size_t best = SIZE_MAX;
  std::string nearest;
  for (const Constant& constant : object.constants) {
    const std::string known = constant.name.substr(0, kLongestName);
    size_t distance = settings::EditDistance(wanted, known);
    if (known.starts_with(kPrefix)) {
      distance = std::min(distance, settings::EditDistance(wanted, known.substr(kPrefix.size())));
    }
    if (distance >= best) continue;
    best = distance;
    nearest = constant.name;
  }
  return nearest;
}

absl::Status Unknown(const ObjectSpec& object, const std::string& head) {
  const std::string nearest = Nearest(object, head);
  return base::NotFound("setting constant {}: object {} has none of that name{}", Printable(head),
                        Printable(object.name),
                        nearest.empty() ? ", nor any other"
                                        : "; the nearest is " + Printable(nearest));
}

absl::StatusOr<Field> Find(const ObjectSpec& object, const std::string& name) {
  const std::string path = object.FindConstant(name) != nullptr ? name : SnakeCase(name);
  const std::string head = HeadOf(object, path);
  const std::vector<const Constant*> candidates = Candidates(object, head);
  if (candidates.empty()) return Unknown(object, head);
  if (candidates.size() > 1) {
    return base::NotFound("setting constant {}: ambiguous in object {}: {}, {}{}", Printable(head),
                          Printable(object.name), Printable(candidates[0]->name),
                          Printable(candidates[1]->name), candidates.size() > 2 ? ", ..." : "");
  }
  const Constant& constant = *candidates[0];
  if (path == head) {
    return Field{.section = constant.section, .offset = constant.offset, .size = constant.size,
                 .is_bool = constant.is_bool, .is_signed = constant.is_signed,
                 .is_integer = constant.is_integer};
  }
  auto field = object::FindField(object, constant.name + path.substr(head.size()));
  if (!field.ok()) return base::Annotate(field.status(), "setting constant " + Printable(name));
  return field;
}

NumberType TypeOf(const Field& field) {
  return {.bits = field.bit_size != 0 ? field.bit_size : field.size * 8, .is_bool = field.is_bool,
          .is_signed = field.is_signed};
}

absl::StatusOr<Number> NumberFrom(const std::string& name, const Field& field,
                                  const std::string& text) {
  const NumberType type = TypeOf(field);
  if (!field.is_integer || type.bits == 0 || type.bits > 64) {
    return base::InvalidArgument(
        "setting constant {}: it is no number; give its {} as hex:BYTES or one of its fields",
        Printable(name), Bytes(field.size));
  }
  std::optional<ParsedNumber> parsed = ParseNumber(text);
  if (!parsed && field.is_bool) {
    const auto word = settings::ParseValue({.kind = settings::Kind::kBool}, text);
    if (word.ok()) parsed = ParsedNumber{{std::get<bool>(*word) ? 1u : 0u}};
  }
  if (!parsed || parsed->too_large || !Fits(type, parsed->number)) {
    return base::InvalidArgument("setting constant {}: {} is {}; allowed is {}", Printable(name),
                                 settings::Quote(text), parsed ? "out of range" : "no number",
                                 Allowed(type));
  }
  return parsed->number;
}

// SOUND: neighbours of a bit field keep their bits.
void Write(const Field& field, Number number, std::vector<uint8_t>& section) {
  if (field.bit_size == 0) {
    std::memcpy(section.data() + field.offset, &number.bits, field.size);
    return;
  }
  for (uint32_t i = 0; i < field.bit_size; ++i) {
    const uint32_t at = field.bit_offset + i;
    uint8_t& byte = section[field.offset + at / 8];
    const auto mask = static_cast<uint8_t>(1u << (at % 8));
    byte = static_cast<uint8_t>((number.bits >> i & 1) != 0 ? byte | mask : byte & ~mask);
  }
}

absl::StatusOr<std::vector<uint8_t>> BytesFrom(const std::string& name, const Field& field,
                                               const std::string& text) {
  std::vector<uint8_t> bytes;
  const auto digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  if (text.size() % 2 != 0 || !std::all_of(text.begin(), text.end(), digit)) {
    return base::InvalidArgument("setting constant {}: {} is not pairs of hexadecimal digits",
                                 Printable(name), settings::Quote(text));
  }
  for (size_t i = 0; i < text.size(); i += 2) {
    uint8_t byte = 0;
    std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    bytes.push_back(byte);
  }
  if (field.bit_size != 0) {
    return base::InvalidArgument("setting constant {}: a bit field of {} bits takes a number",
                                 Printable(name), field.bit_size);
  }
  if (bytes.size() != field.size) {
    return base::InvalidArgument("setting constant {}: {} given, it has {}", Printable(name),
                                 Bytes(bytes.size()), Bytes(field.size));
  }
  return bytes;
}

// The listed values of what lies between two bytes of a section.
void Refresh(const ObjectSpec& object, uint32_t section, uint64_t begin, uint64_t end,
             ConstantSet& set) {
  for (const Constant& constant : object.constants) {
    if (constant.section != section || !constant.is_integer || constant.offset >= end ||
        begin >= uint64_t{constant.offset} + constant.size) {
      continue;
    }
    for (NamedValue& known : set.values) {
      if (known.name == constant.name) known = Describe(object, constant, set, known.origin);
    }
  }
}

}  // namespace

bool Knows(const ObjectSpec& object, const std::string& name) {
  const std::string path = object.FindConstant(name) != nullptr ? name : SnakeCase(name);
  return FindExact(object, HeadOf(object, path)) != nullptr;
}

absl::Status Assign(const ObjectSpec& object, const std::string& name, const std::string& value,
                    ConstantSet& set) {
  ASSIGN_OR_RETURN(const Field field, Find(object, name));
  std::vector<uint8_t>& section = set.sections.at(field.section);
  if (value.starts_with(kHex)) {
    ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                     BytesFrom(name, field, value.substr(kHex.size())));
    std::copy(bytes.begin(), bytes.end(), section.begin() + field.offset);
  } else {
    ASSIGN_OR_RETURN(const Number number, NumberFrom(name, field, value));
    Write(field, number, section);
  }
  Refresh(object, field.section, field.offset, uint64_t{field.offset} + field.size, set);
  return absl::OkStatus();
}

absl::Status Override(const ObjectSpec& object, const std::string& name, int64_t value,
                      ConstantSet& set) {
  return Assign(object, name, std::to_string(value), set);
}

absl::Status ReplaceSection(const ObjectSpec& object, const std::string& section,
                            const std::vector<uint8_t>& bytes, ConstantSet& set) {
  std::string known;
  for (uint32_t i = 0; i < object.data_sections.size(); ++i) {
    const object::DataSection& data = object.data_sections[i];
    if (data.read_only) known += (known.empty() ? "" : ", ") + Printable(data.name);
    if (data.name != section) continue;
    if (!data.read_only) {
      return base::InvalidArgument("replacing section {} of object {}: programs may write to it, so "
                                   "that its bytes decide nothing", section, object.name);
    }
    if (bytes.size() != data.bytes.size()) {
      return base::InvalidArgument("replacing section {} of object {}: {} given, it has {}",
                                   section, object.name, Bytes(bytes.size()),
                                   Bytes(data.bytes.size()));
    }
    set.sections.at(i) = bytes;
    Refresh(object, i, 0, bytes.size(), set);
    return absl::OkStatus();
  }
  return base::NotFound("replacing section {} of object {}: {}", Printable(section), object.name,
                        known.empty() ? "it has no read-only data section"
                                      : "no such data section; the read-only ones are " + known);
}

}  // namespace bonsai::constants
