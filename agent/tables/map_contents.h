// SPDX-License-Identifier: Apache-2.0
// What a map shall hold, as the kernel sees it: keys and values as bytes.
// Everything here is a plain value; safe to share between threads.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <type_traits>

namespace bonsai::tables {

using Bytes = std::string;  // raw bytes; compares like memcmp

// Key -> value. Ordered, so that the same state always gives the same writes.
using MapContents = std::map<Bytes, Bytes>;

template <typename T>
Bytes ToBytes(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return Bytes(reinterpret_cast<const char*>(&value), sizeof(T));
}

// `bytes` must hold at least sizeof(T) bytes.
template <typename T>
T FromBytes(const Bytes& bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

}  // namespace bonsai::tables
