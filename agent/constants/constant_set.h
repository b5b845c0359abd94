// SPDX-License-Identifier: Apache-2.0
// ConstantSet: the bytes of each read-only section of one object, with the values in force written
// in. Pure data; equal sets mean equal programs.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/object/object_spec.h"
#include "agent/settings/settings.h"

namespace bonsai::constants {

// Facts of the node by constant name, e.g. {"kernel_hz", 250}.
using NodeConstants = std::map<std::string, uint64_t>;

struct NamedValue {
  std::string name;       // constant, e.g. enable_ipv4
  std::string value;      // decimal, or true/false
  std::string feature;
  std::string origin;     // "setting", "node" or "object" (untouched default)
  bool is_default = true; // equal to what the object holds
};

struct ConstantSet {
  // data section index in the ObjectSpec -> its bytes; only read-only sections.
  std::map<uint32_t, std::vector<uint8_t>> sections;
  std::vector<NamedValue> values;  // sorted by name, of all constants with integer type
};

// InvalidArgument when a value does not fit its constant; Internal when the schema lacks a setting
// constant of the object.
absl::StatusOr<ConstantSet> Resolve(const settings::Settings& settings, const NodeConstants& node,
                                    const object::ObjectSpec& object);

// Assign() of assign.h for a number.
absl::Status Override(const object::ObjectSpec& object, const std::string& name, int64_t value,
                      ConstantSet& set);

// What `set` says of a constant of integer type.
NamedValue Describe(const object::ObjectSpec& object, const object::Constant& constant,
                    const ConstantSet& set, const std::string& origin);

// Unchanged bytes of the object.
ConstantSet Defaults(const object::ObjectSpec& object);

// {"name": value, ...} so that a load can be replayed.
std::string ToJson(const ConstantSet& set);

}  // namespace bonsai::constants
