// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/state.h"

#include <bit>

namespace bonsai::reachability {
namespace {

RegisterSet Without(RegisterSet set) { return static_cast<RegisterSet>(set & (set - 1)); }

}  // namespace

void State::ClobberAll(StackPools& pools) {
  for (uint32_t i = 0; i <= callers(); ++i) {
    ChangeFrame(i, [&](Stack& frame) { frame.Clobber(~SlotSet{0}, pools); });
  }
}

void State::PushFrame() {
  Frames all = frames == nullptr ? Frames() : *frames;
  all.push_back(std::exchange(stack, Stack()));
  frames = std::make_shared<const Frames>(std::move(all));
}

void State::PopFrame() {
  Frames all = *frames;
  stack = std::move(all.back());
  all.pop_back();
  frames = all.empty() ? nullptr : std::make_shared<const Frames>(std::move(all));
}

bool State::Merge(const State& other, RegisterSet live, bool widen, Tables& tables) {
  bool changed = false;
  for (RegisterSet rest = live; rest != 0; rest = Without(rest)) {
    const int i = std::countr_zero(rest);
    Value& before = registers[i];
    const Value& next = other.registers[i];
    if (before == next) continue;
    if (before.SameAs(next)) {
      before.origin = tables.provenance.Union(before.origin, next.origin);
      continue;
    }
    const Value joined = tables.Join(before, next, widen);
    changed = changed || !joined.SameAs(before);
    before = joined;
  }
  const bool stacks = MergeFrames(other, widen, tables);
  return changed || stacks;
}

bool State::MergeFrames(const State& other, bool widen, Tables& tables) {
  bool changed = stack.Merge(other.stack, widen, tables);
  if (frames == other.frames) return changed;
  Frames joined = *frames;
  bool news = false;
  for (uint32_t i = 0; i < joined.size(); ++i) {
    news = joined[i].Merge(other.Frame(i), widen, tables) || news;
  }
  if (news) frames = std::make_shared<const Frames>(std::move(joined));
  return changed || news;
}

bool State::Covers(const State& other, RegisterSet live, const Tables& tables) const {
  for (RegisterSet rest = live; rest != 0; rest = Without(rest)) {
    const int i = std::countr_zero(rest);
    const Value& big = registers[i];
    const Value& small = other.registers[i];
    if (big.SameAs(small)) continue;
    if (big.is_const || !tables.Covers(big, small)) return false;
  }
  if (!stack.Covers(other.stack, tables)) return false;
  if (frames == other.frames) return true;
  for (uint32_t i = 0; i < callers(); ++i) {
    if (!Frame(i).Covers(other.Frame(i), tables)) return false;
  }
  return true;
}

int Contrast(const State& a, const State& b, RegisterSet live, SlotSet slots) {
  int places = 0;
  for (RegisterSet rest = live; rest != 0; rest = Without(rest)) {
    const int i = std::countr_zero(rest);
    const Value& x = a.registers[i];
    const Value& y = b.registers[i];
    places += x.is_const && y.is_const && !x.SameAs(y);
  }
  places += std::popcount(a.stack.DifferentConstants(b.stack) & slots);
  for (uint32_t i = 0; i < a.callers() && a.frames != b.frames; ++i) {
    places += std::popcount(a.Frame(i).DifferentConstants(b.Frame(i)));
  }
  return places;
}

}  // namespace bonsai::reachability
