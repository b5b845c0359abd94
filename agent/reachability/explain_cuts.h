// SPDX-License-Identifier: Apache-2.0
// The live places that keep dead code dead; internal to reachability/.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "agent/reachability/explain.h"
#include "agent/reachability/explain_graph.h"

namespace bonsai::reachability {

// Where live code can not go on towards dead code.
struct Cut {
  Deciding::Kind kind = Deciding::Kind::kBranch;
  uint32_t node = 0, slot = 0;
  bool taken = false;
  const std::vector<uint32_t>* constants = nullptr;  // of the decision; nullptr: none
  bool HasConstants() const { return constants != nullptr && !constants->empty(); }
};

struct NearCut {
  uint32_t cut = 0;       // number
  uint32_t distance = 0;  // blocks on the way
};
struct NearCuts {
  std::vector<NearCut> cuts;  // the nearest first, at most kMaxDeciding
  bool complete = true;       // there are no others
};

// Each dead block gets the nearest cuts on the ways that lead to it, by one walk from all cuts at
// once, in which no block is visited more than kMaxDeciding times.
class Cuts {
 public:
  // Both must outlive it.
  Cuts(const CodeGraph& graph, const Liveness& liveness);

  const Cut& cut(uint32_t number) const { return cuts_[number]; }
  // What keeps the thing dead; it must be dead.
  NearCuts Before(Thing thing) const;
  // For a cut without constants: such with constants as may be why. By number.
  std::vector<uint32_t> Behind(uint32_t cut) const;

 private:
  struct Visit {
    uint32_t node = 0, cut = 0, distance = 0;
  };
  void FindCuts();
  void CutBranch(uint32_t node, const std::vector<Decision>& decisions, size_t& next);
  void CutCall(uint32_t node);
  void CutTailCalls();
  void CutExact(const TailSite& site, const Cut& cut);
  void Spread();
  void FloodIncomplete();
  void FindNearest();
  uint32_t NumberOf(const Cut& cut);
  void Seed(const Cut& cut, uint32_t node);
  bool Reach(uint32_t node, uint32_t cut, uint32_t distance);
  bool IsLive(uint32_t node) const { return node < live_.size() && live_[node]; }
  bool Counts(uint32_t from, uint32_t to) const;
  void Merge(const NearCuts& more, NearCuts& cuts) const;
  NearCuts BeforeMap(uint32_t map) const;

  const CodeGraph& graph_;
  const Liveness& liveness_;
  std::vector<bool> live_;        // by block
  std::vector<Cut> cuts_;
  // Kind, file and line (or function and slot where these are not known), constants.
  using CutKey = std::tuple<Deciding::Kind, uint64_t, uint32_t, std::vector<uint32_t>>;
  std::map<CutKey, uint32_t> numbers_;
  std::vector<std::pair<uint32_t, uint32_t>> deciding_;  // (block, cut) of branches with constants
  std::deque<Visit> seeds_;
  std::vector<NearCuts> near_;    // by node
  std::vector<std::array<uint32_t, 4>> nearest_;  // by node: cuts with constants before it
};

}  // namespace bonsai::reachability
