// SPDX-License-Identifier: Apache-2.0
// Any bytes as an object that the reader could have made, without the ELF around it.
#pragma once

#include <cstdint>
#include <span>

#include "agent/object/object_spec.h"

namespace bonsai::fuzz {

// Bytes: one for the number of functions, kDataBytes of a read-only section, then instructions.
inline constexpr size_t kDataBytes = 32;
inline constexpr size_t kHeadBytes = 1 + kDataBytes;
inline constexpr size_t kMaxSlots = 4096;

// Map indices; and the sections: 0 is read-only, 1 is not.
inline constexpr uint32_t kHash = 0, kCalls = 1, kArray = 2;

object::ObjectSpec ObjectFrom(std::span<const uint8_t> bytes);

}  // namespace bonsai::fuzz
