// SPDX-License-Identifier: Apache-2.0
// Settings as the constants of the objects declare them.
#include <algorithm>
#include <cstring>
#include <limits>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {
namespace {

using settings::Kind;
using settings::SettingSpec;

std::string KeyOf(const std::string& constant) {
  std::string key = constant;
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

int64_t LimitOf(const Constant& constant, bool highest) {
  const uint32_t bits = constant.size * 8;
  if (!constant.is_signed) {
    if (!highest) return 0;
    return bits >= 63 ? std::numeric_limits<int64_t>::max()
                      : static_cast<int64_t>((uint64_t{1} << bits) - 1);
  }
  const int64_t half = bits == 64 ? std::numeric_limits<int64_t>::max()
                                  : (int64_t{1} << (bits - 1)) - 1;
  return highest ? half : -half - 1;
}

settings::Value DefaultOf(const ObjectSpec& object, const Constant& constant) {
  uint64_t raw = 0;
  std::memcpy(&raw, object.data_sections[constant.section].bytes.data() + constant.offset,
              constant.size);
  if (constant.is_bool) return raw != 0;
  if (!constant.is_signed) return raw;
  const uint32_t shift = 64 - constant.size * 8;
  return static_cast<int64_t>(raw << shift) >> shift;
}

absl::StatusOr<SettingSpec> SpecOf(const ObjectSpec& object, const Constant& constant) {
  if (!constant.is_integer) {
    return base::InvalidArgument("reading settings of object {}: {} is not a bool or an integer",
                                 object.path, constant.name);
  }
  SettingSpec spec{.key = KeyOf(constant.name), .constant = constant.name,
                   .target = settings::Target::kConstant};
  spec.kind = constant.is_bool ? Kind::kBool : constant.is_signed ? Kind::kInt : Kind::kUint;
  spec.default_value = DefaultOf(object, constant);
  if (!constant.is_bool) {
    spec.min = std::max(constant.min.value_or(LimitOf(constant, false)), LimitOf(constant, false));
    spec.max = std::min(constant.max.value_or(LimitOf(constant, true)), LimitOf(constant, true));
  }
  spec.feature = constant.feature;
  spec.doc = constant.doc;
  spec.requires_keys = constant.requires_keys;
  return spec;
}

bool Same(const SettingSpec& a, const SettingSpec& b) {
  return a.kind == b.kind && a.default_value == b.default_value && a.min == b.min &&
         a.max == b.max && a.feature == b.feature && a.doc == b.doc &&
         a.requires_keys == b.requires_keys;
}

}  // namespace

absl::StatusOr<std::vector<SettingSpec>> SettingSpecs(const std::vector<ObjectSpec>& objects) {
  std::map<std::string, std::pair<SettingSpec, const ObjectSpec*>> specs;
  for (const ObjectSpec& object : objects) {
    for (const Constant& constant : object.constants) {
      if (constant.origin != ConstantOrigin::kSetting) continue;
      ASSIGN_OR_RETURN(SettingSpec spec, SpecOf(object, constant));
      const auto [known, added] = specs.try_emplace(spec.key, spec, &object);
      if (!added && !Same(known->second.first, spec)) {
        return base::InvalidArgument("reading settings: objects {} and {} declare {} differently",
                                     known->second.second->path, object.path, constant.name);
      }
    }
  }
  std::vector<SettingSpec> result;
  for (auto& [key, spec] : specs) result.push_back(std::move(spec.first));
  return result;
}

}  // namespace bonsai::object
