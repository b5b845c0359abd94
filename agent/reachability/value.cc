// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/value.h"

#include <algorithm>

namespace bonsai::reachability {
namespace {

const Number kAnyNumber;

Kind KindForBoth(const Value& a, const Value& b) {
  if (a.MayPointToOwnStack() || b.MayPointToOwnStack()) return Kind::kUnknown;
  if (a.MayPointToStack() || b.MayPointToStack()) return Kind::kForeign;
  return Kind::kNumber;
}

}  // namespace

const Number& Value::AsNumber() const { return IsNumber() ? number : kAnyNumber; }

bool Tables::Members(const Value& value, ValueSet& members) const {
  if (!value.IsNumber()) return false;
  if (value.set != 0) {
    members = sets.Of(value.set);
    return true;
  }
  if (!value.number.IsConst()) return false;
  members = {};
  return members.Add(value.number.value());
}

Value Tables::OneOf(const ValueSet& members, Origin origin) {
  Value value = Value::Of(Number::Const(members.members[0]), origin);
  for (uint64_t member : members) value.number = Join(value.number, Number::Const(member));
  value.number.Settle();
  value.set = sets.Intern(members);
  return value;
}

Value JoinValues(const Value& before, const Value& next, bool widen, Tables& tables) {
  Provenance& provenance = tables.provenance;
  if (before.SameAs(next)) {
    Value same = before;
    same.origin = provenance.Union(before.origin, next.origin);
    return same;
  }
  Value joined;
  joined.bytes = std::min(before.bytes, next.bytes);
  if (before.kind == next.kind && before.index == next.index) {
    joined.kind = before.kind;
    joined.index = before.index;
    joined.number = widen ? Widen(before.number, next.number) : Join(before.number, next.number);
    ValueSet all, more;
    if (!widen && tables.Members(before, all) && tables.Members(next, more) &&
        std::all_of(more.begin(), more.end(), [&](uint64_t x) { return all.Add(x); })) {
      joined.set = tables.sets.Intern(all);
    }
  } else {
    joined.kind = KindForBoth(before, next);
  }
  if (joined.IsNumber() && joined.number.IsAny()) return joined;
  joined.origin = provenance.Union(before.origin, next.origin);
  return joined;
}

Value SeenByCallee(const Value& value) {
  Value seen = value;
  if (value.kind == Kind::kStack) seen.kind = Kind::kCaller;
  // Of frames further up only the fact is kept. Nothing points into the callee's own frame yet.
  if (value.kind == Kind::kCaller || value.kind == Kind::kUnknown) {
    return Value::OfKind(Kind::kForeign);
  }
  return seen;
}

Value SeenByCaller(const Value& value) {
  Value seen = value;
  if (value.kind == Kind::kCaller) seen.kind = Kind::kStack;
  if (value.kind == Kind::kForeign || value.kind == Kind::kStack || value.kind == Kind::kUnknown) {
    return Value::OfKind(Kind::kUnknown);
  }
  return seen;
}

}  // namespace bonsai::reachability
