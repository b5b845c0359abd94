// SPDX-License-Identifier: Apache-2.0
// Constants given as text, for tools that work on any object, without a schema. Pure.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"

namespace bonsai::constants {

// Whether `name` (see Assign) begins with the name of one of the object's constants, from which
// nothing but __config_ may be left out.
bool Knows(const object::ObjectSpec& object, const std::string& name);

// Writes `value` into the constant `name` of `set`.
// `name`: a constant, in snake_case or kebab-case, or a part of one: name.field, name.field.sub[2].
// What stands before an underscore of the name may be left out where that is not ambiguous, as in
// x for __config_x.
// `value`: decimal, 0x.. or 0b.., true or false; or hex:BYTES for all the bytes as they lie in
// memory. NotFound for an unknown name, InvalidArgument for a value that does not fit; both say
// what would.
absl::Status Assign(const object::ObjectSpec& object, const std::string& name,
                    const std::string& value, ConstantSet& set);

// Replaces all bytes of a read-only section. NotFound when the object has no such section,
// InvalidArgument when it is not read-only or of another size.
absl::Status ReplaceSection(const object::ObjectSpec& object, const std::string& section,
                            const std::vector<uint8_t>& bytes, ConstantSet& set);

}  // namespace bonsai::constants
