// SPDX-License-Identifier: Apache-2.0
// Value: what a register or stack slot may hold.
#pragma once

#include <cstdint>

#include "agent/reachability/number.h"
#include "agent/reachability/provenance.h"
#include "agent/reachability/value_sets.h"

namespace bonsai::reachability {

enum class Kind : uint8_t {
  // A number, or a pointer that is not into any stack frame: packet, context, map value, ...
  // SOUND: these need no kind of their own. What they point to is no stack slot, and their numeric
  // value is one of `number`, which is then any.
  kNumber,
  kStack,     // r10 of this frame + number
  kCaller,    // r10 of the calling function's frame + number
  kForeign,   // any number, or a pointer into some caller's frame
  kUnknown,   // anything at all
  kData,      // address of data section `index` + number
  kMap,       // address of map `index`
  kFunction,  // address of function `index`
};

struct Value {
  Kind kind = Kind::kNumber;
  uint8_t bytes = 8;    // of a stack slot: how many, from its lowest address; registers: 8
  Origin origin = 0;
  uint32_t index = 0;
  SetId set = 0;        // kNumber: not 0 when it is one of that set (and of `number`)
  Number number;        // kStack, kCaller, kData: the offset; any for the kinds without a number

  static Value Any() { return {}; }
  static Value Of(const Number& number, Origin origin = 0) {
    return {.origin = origin, .number = number};
  }
  static Value Pointer(Kind kind, uint32_t index, int64_t offset) {
    return {.kind = kind, .index = index, .number = Number::Const(static_cast<uint64_t>(offset))};
  }
  static Value OfKind(Kind kind) { return {.kind = kind}; }

  bool IsNumber() const { return kind == Kind::kNumber; }
  bool MayPointToStack() const {
    return kind == Kind::kStack || kind == Kind::kCaller || kind == Kind::kForeign ||
           kind == Kind::kUnknown;
  }
  bool MayPointToOwnStack() const { return kind == Kind::kStack || kind == Kind::kUnknown; }
  // Says nothing beyond "not a pointer to a stack".
  bool IsAny() const { return kind == Kind::kNumber && origin == 0 && number.IsAny(); }
  // The numbers it may compare as.
  const Number& AsNumber() const;
  bool SameAs(const Value& other) const {  // whatever its origin
    if (kind != other.kind || bytes != other.bytes || index != other.index || set != other.set) {
      return false;
    }
    if (number.IsConst() && other.number.IsConst()) return number.value() == other.number.value();
    return number == other.number;
  }
};

// What values refer to by number; one for each analysis.
struct Tables {
  Provenance provenance;
  ValueSets sets;

  // The few numbers that `value` may be; false: not few, or a pointer.
  bool Members(const Value& value, ValueSet& members) const;
  // One of `members`; there must be at least one.
  Value OneOf(const ValueSet& members, Origin origin);
};

// What holds both. `widen`: bounds of `next` that moved give up.
Value JoinValues(const Value& before, const Value& next, bool widen, Tables& tables);

// A pointer to this function's own frame, seen by a function it calls: frames shift by one.
Value SeenByCallee(const Value& value);
// What a callee returned, seen by its caller.
Value SeenByCaller(const Value& value);

}  // namespace bonsai::reachability
