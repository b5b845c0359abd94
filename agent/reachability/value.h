// SPDX-License-Identifier: Apache-2.0
// Value: what a register or stack slot may hold, in 16 bytes. Numbers that are not one constant
// live in the analysis' NumberTable, each once, so that equal values have equal bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "agent/reachability/provenance.h"

namespace bonsai::reachability {

// A number of NumberTable. The first few are always the same.
using NumberId = uint32_t;
inline constexpr NumberId kAnyNumber = 0, kAnyByte = 1, kAnyHalf = 2, kAnyWord = 3;

// One constant, or one of the numbers that NumberTable keeps.
struct Scalar {
  uint64_t payload = kAnyNumber;  // the constant, or a NumberId
  bool is_const = false;

  static Scalar Const(uint64_t value) { return {value, true}; }
  static Scalar Pooled(NumberId id) { return {id, false}; }
  // All numbers of `size` bytes (1, 2, 4 or 8), zero-extended.
  static Scalar OfSize(uint32_t size) {
    return Pooled(size == 1 ? kAnyByte : size == 2 ? kAnyHalf : size == 4 ? kAnyWord : kAnyNumber);
  }
  bool IsAny() const { return !is_const && payload == kAnyNumber; }
  bool Is(uint64_t value) const { return is_const && payload == value; }
  bool operator==(const Scalar&) const = default;
};

enum class Kind : uint8_t {
  // A number, or a pointer that is not into any stack frame: packet, context, map value, ...
  // SOUND: these need no kind of their own. What they point to is no stack slot, and their numeric
  // value is one of the scalar's, which is then any (or any but 0 behind a check).
  kNumber,
  kStack,     // r10 of frame `index` (0: the outermost that is visible) + scalar
  kForeign,   // any number, or a pointer into a frame that is not visible here
  kUnknown,   // anything at all
  kData,      // address of data section `index` + scalar
  kMap,       // address of map `index`
  kFunction,  // address of function `index`
  kContext,   // the program's context, of ContextKind `index`, + scalar; with any scalar: perhaps
};

// Where a context holds pointers to the packet, which a program loads as four bytes each.
enum class ContextKind : uint8_t { kUnknown, kSkb, kXdp, kWithout };


struct Value {
  uint64_t payload = kAnyNumber;  // of the scalar
  uint32_t index = 0;
  Origin origin = 0;              // constants it rests on
  Kind kind = Kind::kNumber;
  bool is_const : 1 = false;      // of the scalar
  uint8_t bytes : 4 = 0;          // of a stack slot: how many of 1, 2, 4; 0: all eight
  uint8_t unused : 3 = 0;         // so that equal values have equal bytes

  static Value Any() { return {}; }
  static Value Of(Scalar scalar, Origin origin = 0) {
    return {.payload = scalar.payload, .origin = scalar.IsAny() ? Origin{0} : origin,
            .is_const = scalar.is_const};
  }
  static Value Const(uint64_t value, Origin origin = 0) {
    return {.payload = value, .origin = origin, .is_const = true};
  }
  static Value Pointer(Kind kind, uint32_t index, int64_t offset) {
    return {.payload = static_cast<uint64_t>(offset), .index = index, .kind = kind,
            .is_const = true};
  }
  static Value OfKind(Kind kind) { return {.kind = kind}; }

  Scalar scalar() const { return {payload, is_const}; }
  void Set(Scalar scalar) {
    payload = scalar.payload;
    is_const = scalar.is_const;
  }
  bool IsNumber() const { return kind == Kind::kNumber; }
  bool IsConst() const { return IsNumber() && is_const; }
  bool IsAny() const { return IsNumber() && scalar().IsAny(); }
  bool HasOffset() const {
    return kind == Kind::kStack || kind == Kind::kData || kind == Kind::kContext;
  }
  // The numbers it may compare as.
  Scalar AsNumber() const { return IsNumber() ? scalar() : Scalar(); }
  bool MayPointToStack() const {
    return kind == Kind::kStack || kind == Kind::kForeign || kind == Kind::kUnknown;
  }
  // To one of the frames that are visible here.
  bool MayPointToVisible() const { return kind == Kind::kStack || kind == Kind::kUnknown; }
  bool SameAs(const Value& other) const {  // whatever its origin
    return payload == other.payload && ((Rest() ^ other.Rest()) & ~kOriginBits) == 0;
  }
  bool operator==(const Value& other) const {
    return payload == other.payload && Rest() == other.Rest();
  }

 private:
  static constexpr uint64_t kOriginBits = uint64_t{0xffff} << 32;
  // All but the payload, as it lies in memory.
  uint64_t Rest() const {
    uint64_t rest;
    std::memcpy(&rest, reinterpret_cast<const char*>(this) + sizeof(payload), sizeof(rest));
    return rest;
  }
};
static_assert(sizeof(Value) == 16 && offsetof(Value, origin) == 12);

}  // namespace bonsai::reachability
