// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "agent/base/status.h"
#include "agent/constants/constant_set.h"
#include "agent/constants/number.h"

namespace bonsai::constants {
namespace {

using object::Constant;
using object::ConstantOrigin;
using object::ObjectSpec;

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

NumberType TypeOf(const Constant& constant) {
  return {.bits = constant.size * 8, .is_bool = constant.is_bool, .is_signed = constant.is_signed};
}

absl::Status Write(const ObjectSpec& object, const Constant& constant, Number number,
                   ConstantSet& set) {
  const NumberType type = TypeOf(constant);
  if (!constant.is_integer || !Fits(type, number)) {
    const NumberType wide{.bits = 64, .is_signed = number.negative};
    return base::InvalidArgument("setting constant {} of object {}: {} does not fit; {}",
                                 constant.name, object.name, Format(wide, number.bits),
                                 constant.is_integer ? "allowed is " + Allowed(type)
                                                     : "it is no number");
  }
  std::memcpy(set.sections.at(constant.section).data() + constant.offset, &number.bits,
              constant.size);
  return absl::OkStatus();
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

// Says what `set` holds, by name. Pointers are sorted: values are long to move about.
template <typename OriginOf>
void AddValues(const ObjectSpec& object, OriginOf origin_of, ConstantSet& set) {
  std::vector<const Constant*> integers;
  for (const Constant& constant : object.constants) {
    if (constant.is_integer) integers.push_back(&constant);
  }
  std::sort(integers.begin(), integers.end(),
            [](const Constant* a, const Constant* b) { return a->name < b->name; });
  set.values.reserve(integers.size());
  for (const Constant* each : integers) {
    set.values.push_back(Describe(object, *each, set, origin_of(*each)));
  }
}

const char* OriginOf(const Constant& constant, const NodeConstants& node) {
  if (constant.origin == ConstantOrigin::kSetting) return "setting";
  return constant.origin == ConstantOrigin::kNode && node.contains(constant.name) ? "node" : "object";
}

}  // namespace

NamedValue Describe(const ObjectSpec& object, const Constant& constant, const ConstantSet& set,
                    const std::string& origin) {
  const uint64_t bits = ReadBits(constant, set.sections.at(constant.section));
  const uint64_t built_in = ReadBits(constant, object.data_sections.at(constant.section).bytes);
  return {.name = constant.name, .value = Format(TypeOf(constant), bits),
          .feature = constant.feature, .origin = origin, .is_default = bits == built_in};
}

absl::StatusOr<ConstantSet> Resolve(const settings::Settings& settings, const NodeConstants& node,
                                    const ObjectSpec& object) {
  ConstantSet set = Sections(object);
  for (const Constant& constant : object.constants) {
    if (constant.origin == ConstantOrigin::kSetting) {
      ASSIGN_OR_RETURN(const Number number, SettingNumber(settings, object, constant));
      RETURN_IF_ERROR(Write(object, constant, number, set));
    } else if (constant.origin == ConstantOrigin::kNode && node.contains(constant.name)) {
      RETURN_IF_ERROR(Write(object, constant, {node.at(constant.name)}, set));
    }
  }
  AddValues(object, [&](const Constant& constant) { return OriginOf(constant, node); }, set);
  return set;
}

ConstantSet Defaults(const ObjectSpec& object) {
  ConstantSet set = Sections(object);
  AddValues(object, [](const Constant&) { return "object"; }, set);
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
