// SPDX-License-Identifier: Apache-2.0
// Shortest paths from the entries to all that is alive; internal to reachability/.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/reachability/explain.h"
#include "agent/reachability/explain_graph.h"

namespace bonsai::reachability {

// One breadth-first walk, made at once, over the blocks that each program can run, never against a
// decided branch, and through calls, callbacks and tail calls. Counted in blocks.
//
// Where programs share so much code that walking it for each takes too long, it is walked once for
// all: then a path may pass what only another program can run.
class Witnesses {
 public:
  // Both must outlive it. `values`: of the constants, in words.
  Witnesses(const Subject& subject, const CodeGraph& graph,
            const std::vector<std::string>& values);

  // The steps that matter on a shortest path; empty for what is dead.
  std::vector<Step> To(Thing thing) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Visit {
    uint32_t program = 0;     // that runs
    uint32_t area = 0;        // index into areas_
    uint32_t block = 0;       // of the function
    uint32_t parent = kNone;  // the visit before
    uint32_t slot = 0;        // where that goes on to here
    Step::Kind kind = Step::Kind::kBranch;  // kBranch: to another block of the function
    const object::TailSlot* tail = nullptr;
  };
  // A function as one program runs it.
  struct Area {
    uint32_t function = 0;
    std::vector<bool> open;  // by block: alive and not visited yet
    bool all_seen = false;   // no block is open any more
  };
  struct Jump {
    uint32_t program = 0;
    Visit visit;
  };

  void Prepare();
  void IndexBlocksBefore();
  void Walk();
  void Drain();
  void Hold();
  bool AddRoots(bool declared);
  bool AddLate();
  bool AddLost();
  uint32_t AreaOf(uint32_t program, uint32_t function);
  std::vector<bool> OpenBlocks(uint32_t program, uint32_t function) const;
  bool Runs(uint32_t program, uint32_t function) const;
  void Enter(uint32_t function, Visit visit);
  void Start(uint32_t program, Visit visit);
  void Go(uint32_t at, uint32_t block);
  void FollowRefs(uint32_t at);
  void FollowFlow(uint32_t at);
  void FollowTails(uint32_t at);
  bool SlotMayBeSet(const TailSite& site) const;
  void FollowTail(uint32_t at, const TailSite& site);
  uint32_t NodeOf(const Visit& visit) const {
    return graph_.NodeOf(areas_[visit.area].function, visit.block);
  }
  Visit After(uint32_t at, uint32_t slot, Step::Kind kind) const;
  const std::vector<object::TailSlot>& TailsOf(uint32_t program) const;
  std::vector<bool> BlocksLeadingTo(const Visit& visit) const;
  Step BranchStep(const Visit& visit, const Decision& decision) const;
  Step StepTo(const Visit& visit) const;
  std::vector<Step> PathTo(uint32_t visit) const;
  std::vector<Step> PathToMap(uint32_t map) const;

  const Subject& subject_;
  const CodeGraph& graph_;
  const std::vector<std::string>& values_;
  bool together_ = false;                   // programs are not told apart
  std::vector<object::TailSlot> all_tails_;  // of all programs, if together_
  std::vector<uint32_t> before_offset_, before_;  // blocks of the function before each block
  std::vector<const Decision*> decisions_;  // by block
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> area_index_;
  std::vector<Area> areas_;
  std::vector<Visit> visits_;               // in the order of the walk
  size_t next_ = 0;                         // visit to go on from
  std::vector<Jump> late_;                  // tail calls that may not be what they look like
  std::multimap<std::pair<std::string_view, uint32_t>, uint32_t> programs_by_slot_;
  std::set<std::pair<std::string_view, uint32_t>> exact_;  // slots that a live tail call names
  std::vector<uint32_t> program_visit_, function_visit_;
  struct Use {
    uint32_t visit = kNone, slot = 0;
  };
  std::vector<Use> map_use_;                // the first
  std::vector<uint32_t> held_by_;           // by map: another that holds it, or kNone
};

}  // namespace bonsai::reachability
