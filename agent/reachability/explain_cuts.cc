// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/explain_cuts.h"

#include <algorithm>

namespace bonsai::reachability {
namespace {

constexpr uint32_t kNoCut = UINT32_MAX;
// Tail calls of which the slot is not known come after all others.
constexpr uint32_t kFar = 1u << 24;

}  // namespace

Cuts::Cuts(const CodeGraph& graph, const Liveness& liveness)
    : graph_(graph),
      liveness_(liveness),
      live_(graph.block_count(), false),
      near_(graph.node_count()),
      nearest_(graph.node_count(), {kNoCut, kNoCut, kNoCut, kNoCut}) {
  for (uint32_t node = 0; node < graph.block_count(); ++node) {
    live_[node] =
        liveness.functions[graph.FunctionOf(node)].live_slots[graph.BlockOf(node).begin];
  }
  FindCuts();
  FindNearest();
  Spread();
  FloodIncomplete();
}

// The number of a cut. Copies of one source line, made by inlining, are one.
uint32_t Cuts::NumberOf(const Cut& cut) {
  const uint32_t function = graph_.FunctionOf(cut.node);
  CutKey key{cut.kind, 0, 0, cut.constants == nullptr ? std::vector<uint32_t>() : *cut.constants};
  const auto line = graph_.object().functions[function].lines.LineOf(cut.slot);
  std::get<1>(key) = line ? line->file : ~uint64_t{function};
  std::get<2>(key) = line ? line->line : cut.slot;
  const auto number = static_cast<uint32_t>(cuts_.size());
  const auto [found, made] = numbers_.try_emplace(std::move(key), number);
  if (made) cuts_.push_back(cut);
  return found->second;
}

void Cuts::Seed(const Cut& cut, uint32_t node) { seeds_.push_back({node, NumberOf(cut), 1}); }

void Cuts::FindCuts() {
  size_t next = 0;
  for (uint32_t node = 0; node < graph_.block_count(); ++node) {
    if (!live_[node]) continue;
    const Flow flow = graph_.BlockOf(node).flow;
    if (flow == Flow::kBranch) CutBranch(node, liveness_.decisions, next);
    if (flow == Flow::kCall) CutCall(node);
  }
  CutTailCalls();
}

// `next`: the first decision that is not before this block; nodes come in the decisions' order.
void Cuts::CutBranch(uint32_t node, const std::vector<Decision>& decisions, size_t& next) {
  const uint32_t function = graph_.FunctionOf(node);
  const Block& block = graph_.BlockOf(node);
  const auto before = [&](const Decision& decision) {
    return decision.function < function ||
           (decision.function == function && decision.slot < block.last());
  };
  while (next < decisions.size() && before(decisions[next])) ++next;
  const bool decided = next < decisions.size() && decisions[next].function == function &&
                       decisions[next].slot == block.last();
  Cut cut{.node = node, .slot = block.last()};
  if (decided) cut.taken = decisions[next].taken, cut.constants = &decisions[next].constants;
  // Also without a way that is cut: one before it may have been decided by what this one tells.
  if (cut.HasConstants()) deciding_.emplace_back(node, NumberOf(cut));
  for (const bool taken : {false, true}) {
    const uint32_t to = taken ? block.target : block.next;
    if (to == kNoBlock || live_[graph_.NodeOf(function, to)]) continue;
    if (!decided) cut.taken = !taken;
    Seed(cut, graph_.NodeOf(function, to));
  }
}

// A call that never returns. Nothing else is needed for callbacks: a function is alive once live
// code takes its address.
void Cuts::CutCall(uint32_t node) {
  const Block& block = graph_.BlockOf(node);
  if (block.next == kNoBlock) return;
  const uint32_t next = graph_.NodeOf(graph_.FunctionOf(node), block.next);
  if (live_[next]) return;
  Seed({.kind = Deciding::Kind::kCall, .node = node, .slot = block.last()}, next);
}

// Tail calls that run, but to other slots.
void Cuts::CutTailCalls() {
  for (const TailSite& site : graph_.tail_sites()) {
    if (!live_[site.node] || !live_[site.setter]) continue;
    Cut cut{.kind = Deciding::Kind::kTailCall, .node = site.node, .slot = site.slot};
    const auto call = std::lower_bound(
        liveness_.tail_calls.begin(), liveness_.tail_calls.end(), site,
        [](const Decision& decision, const TailSite& at) {
          return std::pair(decision.function, decision.slot) < std::pair(at.function, at.slot);
        });
    const bool found = call != liveness_.tail_calls.end() && call->function == site.function &&
                       call->slot == site.slot;
    if (found) cut.constants = &call->constants;
    if (site.IsExact()) {
      CutExact(site, cut);
      continue;
    }
    Seed(cut, graph_.AnySlot(site.map.value_or(graph_.object().maps.size())));
  }
}

// The slot is chosen by code that runs, and yet never the one that is called with.
void Cuts::CutExact(const TailSite& site, const Cut& cut) {
  for (const uint32_t to : graph_.After(site.setter)) {
    const std::optional<uint32_t> program = graph_.ProgramAt(to);
    if (!program || liveness_.programs[*program].live) continue;
    for (const TailTarget& target : graph_.tail_targets()) {
      if (target.program != *program) continue;
      if (target.map == *site.map && target.slot == *site.index) Seed(cut, to);
    }
  }
}

// Whether the way there is missing because of what is before `from`: after a call, only when that
// runs, which is the block before.
bool Cuts::Counts(uint32_t from, uint32_t to) const {
  return !graph_.IsReturn(from) || live_[to - 1];
}

bool Cuts::Reach(uint32_t node, uint32_t cut, uint32_t distance) {
  if (IsLive(node)) return false;
  NearCuts& near = near_[node];
  for (const NearCut& known : near.cuts) {
    if (known.cut == cut) return false;
  }
  if (near.cuts.size() == kMaxDeciding) {
    near.complete = false;
    return false;
  }
  near.cuts.push_back({cut, distance});
  return true;
}

void Cuts::Spread() {
  std::deque<Visit> later;
  for (bool last = false;; last = true) {
    while (!seeds_.empty()) {
      const Visit visit = seeds_.front();
      seeds_.pop_front();
      if (!last && graph_.IsAnySlot(visit.node)) {
        later.push_back(visit);
        continue;
      }
      if (!Reach(visit.node, visit.cut, visit.distance)) continue;
      for (const uint32_t to : graph_.After(visit.node)) {
        if (Counts(visit.node, to)) seeds_.push_back({to, visit.cut, visit.distance + 1});
      }
    }
    if (last) return;
    for (Visit& visit : later) visit.distance += kFar;
    seeds_.swap(later);
  }
}

// What comes after dead code that has more cuts than are kept has more as well.
void Cuts::FloodIncomplete() {
  std::vector<uint32_t> left;
  for (uint32_t node = 0; node < near_.size(); ++node) {
    if (!near_[node].complete) left.push_back(node);
  }
  while (!left.empty()) {
    const uint32_t node = left.back();
    left.pop_back();
    for (const uint32_t to : graph_.After(node)) {
      if (IsLive(to) || !near_[to].complete || !Counts(node, to)) continue;
      near_[to].complete = false;
      left.push_back(to);
    }
  }
}

// One walk from all branches that constants decide, inside of their functions and out of them to
// where they were called from.
void Cuts::FindNearest() {
  std::deque<std::pair<uint32_t, uint32_t>> queue;
  const auto reach = [&](uint32_t node, uint32_t cut) {
    auto& near = nearest_[node];
    for (uint32_t& known : near) {
      if (known == cut) return;
      if (known != kNoCut) continue;
      known = cut;
      queue.emplace_back(node, cut);
      return;
    }
  };
  const auto add = [&](uint32_t node, uint32_t cut) {
    const bool block = node < graph_.block_count();
    for (const uint32_t to : graph_.After(node)) {
      const bool inside = block && to < graph_.block_count() &&
                          graph_.FunctionOf(to) == graph_.FunctionOf(node);
      const bool out = graph_.IsReturn(block ? to : node);
      if (inside || out) reach(to, cut);
    }
  };
  for (const auto& [node, cut] : deciding_) add(node, cut);
  while (!queue.empty()) {
    const auto [node, cut] = queue.front();
    queue.pop_front();
    add(node, cut);
  }
}

void Cuts::Merge(const NearCuts& more, NearCuts& cuts) const {
  cuts.complete = cuts.complete && more.complete;
  for (const NearCut& cut : more.cuts) {
    const auto known = std::find_if(cuts.cuts.begin(), cuts.cuts.end(),
                                    [&](const NearCut& other) { return other.cut == cut.cut; });
    if (known == cuts.cuts.end()) {
      cuts.cuts.push_back(cut);
    } else {
      known->distance = std::min(known->distance, cut.distance);
    }
  }
  std::sort(cuts.cuts.begin(), cuts.cuts.end(), [](const NearCut& a, const NearCut& b) {
    return std::pair(a.distance, a.cut) < std::pair(b.distance, b.cut);
  });
  if (cuts.cuts.size() <= kMaxDeciding) return;
  cuts.cuts.resize(kMaxDeciding);
  cuts.complete = false;
}

// Also those of the maps that hold it.
NearCuts Cuts::BeforeMap(uint32_t map) const {
  NearCuts cuts;
  std::vector<uint32_t> maps{map};
  for (size_t i = 0; i < maps.size(); ++i) {
    for (const uint32_t node : graph_.Users(maps[i])) Merge(near_[node], cuts);
    for (const uint32_t outer : graph_.Holders(maps[i])) {
      if (std::find(maps.begin(), maps.end(), outer) == maps.end()) maps.push_back(outer);
    }
  }
  return cuts;
}

NearCuts Cuts::Before(Thing thing) const {
  if (thing.kind == ThingKind::kMap) return BeforeMap(thing.index);
  if (thing.kind == ThingKind::kProgram) return near_[graph_.Program(thing.index)];
  return graph_.HasCode(thing.index) ? near_[graph_.Entry(thing.index)] : NearCuts{};
}

std::vector<uint32_t> Cuts::Behind(uint32_t number) const {
  const Cut& cut = cuts_[number];
  std::vector<uint32_t> behind;
  for (const uint32_t before : nearest_[cut.node]) {
    if (before != kNoCut) behind.push_back(before);
  }
  // The function may be called with something else where that is dead.
  NearCuts callers;
  for (const uint32_t node : graph_.Callers(graph_.FunctionOf(cut.node))) {
    if (!live_[node]) Merge(near_[node], callers);
  }
  for (const NearCut& caller : callers.cuts) {
    if (cuts_[caller.cut].HasConstants()) behind.push_back(caller.cut);
  }
  return behind;
}

}  // namespace bonsai::reachability
