// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "agent/base/status.h"
#include "agent/constants/constant_set.h"

namespace bonsai::constants {
namespace {

using object::Constant;
using object::ConstantOrigin;
using object::ObjectSpec;

// A value as 64 bits; `negative` tells -1 from 2^64 - 1.
struct Number {
  uint64_t bits = 0;
  bool negative = false;

  static Number Signed(int64_t value) { return {static_cast<uint64_t>(value), value < 0}; }
};

std::string KeyOf(const std::string& constant) {
  std::string key = constant;
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

uint64_t ReadBits(const Constant& constant, const std::vector<uint8_t>& bytes) {
  uint64_t bits = 0;
  std::memcpy(&bits, bytes.data() + constant.offset, constant.size);
  return bits;
}

std::string FormatBits(const Constant& constant, uint64_t bits) {
  if (constant.is_bool) return bits != 0 ? "true" : "false";
  if (!constant.is_signed) return fmt::format("{}", bits);
  const uint32_t shift = 64 - constant.size * 8;
  return fmt::format("{}", static_cast<int64_t>(bits << shift) >> shift);
}

bool Fits(const Constant& constant, Number number) {
  if (constant.is_bool) return number.bits <= 1;
  const uint32_t width = constant.size * 8;
  if (!constant.is_signed) {
    return !number.negative && (width == 64 || number.bits >> width == 0);
  }
  const auto value = static_cast<int64_t>(number.bits);
  if (!number.negative && value < 0) return false;  // beyond INT64_MAX
  if (width == 64) return true;
  const int64_t half = int64_t{1} << (width - 1);
  return value >= -half && value < half;
}

absl::Status Write(const ObjectSpec& object, const Constant& constant, Number number,
                   ConstantSet& set) {
  if (!constant.is_integer || !Fits(constant, number)) {
    const std::string text = number.negative
                                 ? fmt::format("{}", static_cast<int64_t>(number.bits))
                                 : fmt::format("{}", number.bits);
    return base::InvalidArgument("setting constant {} of object {}: {} does not fit {}",
                                 constant.name, object.name, text,
                                 !constant.is_integer ? "what is not a number"
                                 : constant.is_bool
                                     ? std::string("a bool")
                                     : fmt::format("{} {} bits",
                                                   constant.is_signed ? "signed" : "unsigned",
                                                   constant.size * 8));
  }
  std::memcpy(set.sections.at(constant.section).data() + constant.offset, &number.bits,
              constant.size);
  return absl::OkStatus();
}

NamedValue Describe(const ObjectSpec& object, const Constant& constant, const ConstantSet& set,
                    const std::string& origin) {
  const uint64_t bits = ReadBits(constant, set.sections.at(constant.section));
  const uint64_t built_in = ReadBits(constant, object.data_sections.at(constant.section).bytes);
  return {.name = constant.name, .value = FormatBits(constant, bits), .feature = constant.feature,
          .origin = origin, .is_default = bits == built_in};
}

// The sections as they stand in the object, no values yet.
ConstantSet Sections(const ObjectSpec& object) {
  ConstantSet set;
  for (uint32_t i = 0; i < object.data_sections.size(); ++i) {
    if (object.data_sections[i].read_only) set.sections[i] = object.data_sections[i].bytes;
  }
  return set;
}

absl::StatusOr<Number> SettingNumber(const settings::Settings& settings, const ObjectSpec& object,
                                     const Constant& constant) {
  const auto found = settings.values().find(KeyOf(constant.name));
  if (found == settings.values().end()) {
    return base::Internal("setting constant {} of object {}: the schema has no key {}",
                          constant.name, object.name, KeyOf(constant.name));
  }
  if (const auto* value = std::get_if<bool>(&found->second)) return Number{*value ? 1u : 0u};
  if (const auto* value = std::get_if<uint64_t>(&found->second)) return Number{*value};
  if (const auto* value = std::get_if<int64_t>(&found->second)) return Number::Signed(*value);
  return base::Internal("setting constant {} of object {}: key {} is not a number", constant.name,
                        object.name, found->first);
}

void Sort(ConstantSet& set) {
  std::sort(set.values.begin(), set.values.end(),
            [](const NamedValue& a, const NamedValue& b) { return a.name < b.name; });
}

const Constant* Find(const ObjectSpec& object, const std::string& name) {
  if (const Constant* exact = object.FindConstant(name)) return exact;
  // Projects give their constants a common prefix; it may be left out where that is unambiguous.
  const Constant* found = nullptr;
  for (const Constant& constant : object.constants) {
    if (!constant.name.ends_with("_" + name)) continue;
    if (found != nullptr) return nullptr;
    found = &constant;
  }
  return found;
}

}  // namespace

absl::StatusOr<ConstantSet> Resolve(const settings::Settings& settings, const NodeConstants& node,
                                    const ObjectSpec& object) {
  ConstantSet set = Sections(object);
  for (const Constant& constant : object.constants) {
    std::string origin = "object";
    if (constant.origin == ConstantOrigin::kSetting) {
      ASSIGN_OR_RETURN(const Number number, SettingNumber(settings, object, constant));
      RETURN_IF_ERROR(Write(object, constant, number, set));
      origin = "setting";
    } else if (constant.origin == ConstantOrigin::kNode && node.contains(constant.name)) {
      RETURN_IF_ERROR(Write(object, constant, {node.at(constant.name)}, set));
      origin = "node";
    }
    if (constant.is_integer) set.values.push_back(Describe(object, constant, set, origin));
  }
  Sort(set);
  return set;
}

absl::Status Override(const ObjectSpec& object, const std::string& name, int64_t value,
                      ConstantSet& set) {
  const Constant* constant = Find(object, name);
  if (constant == nullptr) {
    return base::NotFound("setting constant {}: object {} has none of that name", name,
                          object.name);
  }
  RETURN_IF_ERROR(Write(object, *constant, Number::Signed(value), set));
  for (NamedValue& known : set.values) {
    if (known.name == constant->name) known = Describe(object, *constant, set, known.origin);
  }
  return absl::OkStatus();
}

ConstantSet Defaults(const ObjectSpec& object) {
  ConstantSet set = Sections(object);
  for (const Constant& constant : object.constants) {
    if (constant.is_integer) set.values.push_back(Describe(object, constant, set, "object"));
  }
  Sort(set);
  return set;
}

std::string ToJson(const ConstantSet& set) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const NamedValue& value : set.values) {
    // Written as parsed JSON so that numbers and booleans stay what they are.
    json[value.name] = nlohmann::ordered_json::parse(value.value, nullptr, false);
  }
  return json.dump();
}

}  // namespace bonsai::constants
