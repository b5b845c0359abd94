// SPDX-License-Identifier: Apache-2.0
// The graph of all code of one object, whatever its constants; internal to reachability/. Nodes are
// the blocks of all functions, and between them the places where many meet: so that the number of
// edges stays linear in the size of the object.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "agent/object/object_spec.h"
#include "agent/reachability/cfg.h"
#include "agent/reachability/collect.h"

namespace bonsai::reachability {

// A call of bpf_tail_call() with one of the slots that the code before it sets up. Calls with
// several slots, as compilers make them of several calls, are several sites.
struct TailSite {
  uint32_t node = 0;              // block of the call
  uint32_t setter = 0;            // block that chooses the slot, or that of the call
  uint32_t function = 0, slot = 0;  // of the call
  uint32_t set_at = 0;            // slot where that is chosen
  std::optional<uint32_t> map, index;
  bool IsExact() const { return map.has_value() && index.has_value(); }
};

class CodeGraph {
 public:
  // `object` must outlive it, and be one that Analyze() took.
  explicit CodeGraph(const object::ObjectSpec& object);

  // ---- nodes
  uint32_t node_count() const { return node_count_; }
  uint32_t block_count() const { return first_.back(); }  // nodes below are blocks
  uint32_t NodeOf(uint32_t function, uint32_t block) const { return first_[function] + block; }
  uint32_t NodeAt(uint32_t function, uint32_t slot) const;  // the block with that slot
  uint32_t Entry(uint32_t function) const { return first_[function]; }
  bool HasCode(uint32_t function) const { return first_[function] != first_[function + 1]; }
  uint32_t FunctionOf(uint32_t node) const { return function_of_[node]; }
  const Block& BlockOf(uint32_t node) const {
    return cfgs_[FunctionOf(node)].blocks[node - first_[FunctionOf(node)]];
  }
  // A function's exits come together in its return, and instructions after which anything may run
  // in its anywhere; tail calls with the same map, of which the slot is not known, in that map's.
  // Map number object.maps.size() stands for any map, the one after it for any of another object.
  uint32_t Return(uint32_t function) const { return block_count() + 2 * function; }
  uint32_t Anywhere(uint32_t function) const { return block_count() + 2 * function + 1; }
  bool IsReturn(uint32_t node) const {
    return node >= block_count() && node < first_program_ && (node - block_count()) % 2 == 0;
  }
  uint32_t Program(uint32_t program) const { return first_program_ + program; }
  std::optional<uint32_t> ProgramAt(uint32_t node) const {
    if (node < first_program_ || node >= first_map_) return std::nullopt;
    return node - first_program_;
  }
  uint32_t AnySlot(uint32_t map) const { return first_map_ + map; }
  bool IsAnySlot(uint32_t node) const { return node >= first_map_; }

  // ---- edges
  std::span<const uint32_t> After(uint32_t node) const {
    return {to_.data() + offset_[node], to_.data() + offset_[node + 1]};
  }
  const Cfg& CfgOf(uint32_t function) const { return cfgs_[function]; }
  // Blocks that call a function, hand it to the kernel or jump to it.
  const std::vector<uint32_t>& Callers(uint32_t function) const { return callers_[function]; }
  // Blocks that refer to a map.
  const std::vector<uint32_t>& Users(uint32_t map) const { return users_[map]; }
  // Maps that hold this one from the start.
  const std::vector<uint32_t>& Holders(uint32_t map) const { return holders_[map]; }
  const std::vector<TailSite>& tail_sites() const { return tail_sites_; }  // by node
  const std::vector<TailTarget>& tail_targets() const { return tail_targets_; }
  // Programs whose slot is in a map of another object: any tail call may jump to them.
  const std::vector<uint32_t>& foreign() const { return foreign_; }
  bool IsReferred(uint32_t program) const { return referred_[program]; }
  const object::ObjectSpec& object() const { return object_; }

 private:
  void NumberNodes();
  void AddBlocks(uint32_t function);
  void AddRefs(uint32_t function);
  void AddTailSites(uint32_t function);
  void AddTailSite(uint32_t function, uint32_t slot,
                   const std::vector<std::vector<uint32_t>>& before);
  void AddPrograms();
  void AddTailEdges();
  void AddHolders();
  void Index();
  void Add(uint32_t from, uint32_t to) { edges_.emplace_back(from, to); }

  const object::ObjectSpec& object_;
  std::vector<Cfg> cfgs_;              // by function
  std::vector<uint32_t> first_;        // by function, and one more: its first node
  std::vector<uint32_t> function_of_;  // by block
  uint32_t first_program_ = 0, first_map_ = 0, node_count_ = 0;
  std::vector<std::pair<uint32_t, uint32_t>> edges_;  // while it is built
  std::vector<uint32_t> offset_, to_;  // edges by node
  std::vector<std::vector<uint32_t>> callers_, users_, holders_;
  std::vector<TailSite> tail_sites_;
  std::vector<TailTarget> tail_targets_;
  std::vector<uint32_t> foreign_;
  std::vector<bool> referred_;         // by program: some tail call may be to it
};

}  // namespace bonsai::reachability
