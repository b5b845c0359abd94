// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/tables.h"

namespace bonsai::reachability {
namespace {

Kind KindForBoth(const Value& a, const Value& b) {
  if (a.MayPointToVisible() || b.MayPointToVisible()) return Kind::kUnknown;
  if (a.MayPointToStack() || b.MayPointToStack()) return Kind::kForeign;
  // SOUND: what is read through it is read as if through the context, which says least.
  if (a.kind == Kind::kContext || b.kind == Kind::kContext) return Kind::kContext;
  return Kind::kNumber;
}

}  // namespace

Value Tables::Join(const Value& before, const Value& next, bool widen) {
  Value joined;
  if (before.kind == next.kind && before.index == next.index) {
    joined.kind = before.kind;
    joined.index = before.index;
    joined.Set(widen ? numbers.Widen(before.scalar(), next.scalar())
                     : numbers.Join(before.scalar(), next.scalar()));
    // A context at any offset may be of any kind: so that such values are the same.
    if (joined.kind == Kind::kContext && joined.scalar().IsAny()) joined.index = 0;
  } else {
    joined.kind = KindForBoth(before, next);
    function_lost = function_lost || before.kind == Kind::kFunction || next.kind == Kind::kFunction;
  }
  joined.bytes = before.bytes;  // of stack slots: the same for both
  if (!joined.IsAny()) joined.origin = provenance.Union(before.origin, next.origin);
  return joined;
}

bool Tables::Covers(const Value& big, const Value& small) const {
  if (big.SameAs(small)) return true;
  if (big.bytes != small.bytes) return false;
  switch (big.kind) {
    case Kind::kUnknown:
      return true;
    case Kind::kForeign:
      return !small.MayPointToVisible();
    case Kind::kContext:
      if (big.scalar().IsAny()) return !small.MayPointToStack();
      return small.kind == big.kind && small.index == big.index &&
             numbers.Covers(big.scalar(), small.scalar());
    case Kind::kNumber:
      if (big.IsAny()) return !small.MayPointToStack() && small.kind != Kind::kContext;
      return small.IsNumber() && numbers.Covers(big.scalar(), small.scalar());
    case Kind::kStack: case Kind::kData:
      return small.kind == big.kind && small.index == big.index &&
             numbers.Covers(big.scalar(), small.scalar());
    default:
      return false;
  }
}

Bounds64 Tables::BoundsOf(Scalar scalar) const {
  return scalar.is_const ? Number::Const(scalar.payload).b64 : numbers.PooledNumber(scalar).b64;
}

}  // namespace bonsai::reachability
