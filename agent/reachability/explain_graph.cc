// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/explain_graph.h"

#include <algorithm>
#include <unordered_map>

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;

uint64_t SlotKey(uint32_t map, uint32_t slot) { return uint64_t{map} << 32 | slot; }

}  // namespace

CodeGraph::CodeGraph(const ObjectSpec& object)
    : object_(object),
      callers_(object.functions.size()),
      users_(object.maps.size()),
      holders_(object.maps.size()),
      tail_targets_(TailTargets(object)),
      referred_(object.programs.size(), false) {
  NumberNodes();
  for (uint32_t function = 0; function < object.functions.size(); ++function) {
    AddBlocks(function);
    AddRefs(function);
    AddTailSites(function);
  }
  AddPrograms();
  AddTailEdges();
  AddHolders();
  Index();
}

void CodeGraph::NumberNodes() {
  const auto functions = static_cast<uint32_t>(object_.functions.size());
  first_.push_back(0);
  for (uint32_t i = 0; i < functions; ++i) {
    cfgs_.push_back(BuildCfg(object_.functions[i]));
    first_.push_back(first_.back() + static_cast<uint32_t>(cfgs_.back().blocks.size()));
    function_of_.resize(first_.back(), i);
  }
  first_program_ = block_count() + 2 * functions;
  first_map_ = first_program_ + static_cast<uint32_t>(object_.programs.size());
  node_count_ = first_map_ + static_cast<uint32_t>(object_.maps.size()) + 2;
}

uint32_t CodeGraph::NodeAt(uint32_t function, uint32_t slot) const {
  const std::vector<Block>& blocks = cfgs_[function].blocks;
  const auto after = std::upper_bound(
      blocks.begin(), blocks.end(), slot,
      [](uint32_t at, const Block& block) { return at < block.begin; });
  return NodeOf(function, static_cast<uint32_t>(after - blocks.begin()) - 1);
}

void CodeGraph::AddBlocks(uint32_t function) {
  const std::vector<Block>& blocks = cfgs_[function].blocks;
  for (uint32_t i = 0; i < blocks.size(); ++i) {
    const Block& block = blocks[i];
    const uint32_t node = NodeOf(function, i);
    if (block.next != kNoBlock) Add(node, NodeOf(function, block.next));
    if (block.target != kNoBlock) Add(node, NodeOf(function, block.target));
    if (block.flow == Flow::kExit) Add(node, Return(function));
    if (block.flow == Flow::kUnknown) Add(node, Anywhere(function));
    if (cfgs_[function].opaque) Add(Anywhere(function), node);
  }
}

void CodeGraph::AddRefs(uint32_t function) {
  const std::vector<Block>& blocks = cfgs_[function].blocks;
  uint32_t at = 0;
  for (const Ref& ref : object_.functions[function].refs) {
    while (at + 1 < blocks.size() && blocks[at + 1].begin <= ref.slot) ++at;
    const uint32_t node = NodeOf(function, at);
    if (ref.kind == RefKind::kMap || ref.kind == RefKind::kArena) users_[ref.index].push_back(node);
    const bool call = ref.kind == RefKind::kCall;
    if (!(call || ref.kind == RefKind::kFunctionAddress) || !HasCode(ref.index)) continue;
    Add(node, Entry(ref.index));
    callers_[ref.index].push_back(node);
    if (call && blocks[at].next != kNoBlock) {
      Add(Return(ref.index), NodeOf(function, blocks[at].next));
    }
  }
}

// Programs, and the slots that lead to them.
void CodeGraph::AddPrograms() {
  const auto any = static_cast<uint32_t>(object_.maps.size());
  for (uint32_t i = 0; i < object_.programs.size(); ++i) {
    const uint32_t function = object_.programs[i].function;
    if (HasCode(function)) Add(Program(i), Entry(function));
    const auto& tail = object_.programs[i].tail;
    if (!tail || object_.FindMap(tail->map) != nullptr) continue;
    foreign_.push_back(i);
    Add(AnySlot(any + 1), Program(i));
    referred_[i] = !tail_sites_.empty();
  }
  for (const TailTarget& target : tail_targets_) {
    Add(AnySlot(target.map), Program(target.program));
    Add(AnySlot(any), Program(target.program));
    if (!tail_sites_.empty()) referred_[target.program] = true;
  }
}

// A site of which map and slot are known leads to that slot's program; any other to all programs of
// the map, or of all maps.
void CodeGraph::AddTailEdges() {
  const auto any = static_cast<uint32_t>(object_.maps.size());
  std::unordered_multimap<uint64_t, uint32_t> programs;
  for (const TailTarget& target : tail_targets_) {
    programs.emplace(SlotKey(target.map, target.slot), target.program);
  }
  for (const TailSite& site : tail_sites_) {
    if (!foreign_.empty()) Add(site.node, AnySlot(any + 1));
    if (!site.IsExact()) {
      Add(site.node, AnySlot(site.map.value_or(any)));
      continue;
    }
    const auto [first, last] = programs.equal_range(SlotKey(*site.map, *site.index));
    for (auto it = first; it != last; ++it) {
      Add(site.setter, Program(it->second));
      if (site.setter != site.node) Add(site.node, Program(it->second));
    }
  }
}

void CodeGraph::AddHolders() {
  std::unordered_map<std::string_view, uint32_t> by_name;
  for (uint32_t i = 0; i < object_.maps.size(); ++i) by_name.emplace(object_.maps[i].name, i);
  for (uint32_t outer = 0; outer < object_.maps.size(); ++outer) {
    for (const auto& [slot, name] : object_.maps[outer].initial_maps) {
      const auto inner = by_name.find(name);
      if (inner != by_name.end()) holders_[inner->second].push_back(outer);
    }
  }
}

void CodeGraph::Index() {
  offset_.assign(node_count_ + 1, 0);
  for (const auto& [from, to] : edges_) ++offset_[from + 1];
  for (uint32_t i = 0; i < node_count_; ++i) offset_[i + 1] += offset_[i];
  to_.resize(edges_.size());
  std::vector<uint32_t> at(offset_.begin(), offset_.end() - 1);
  for (const auto& [from, to] : edges_) to_[at[from]++] = to;
  edges_ = {};
}

}  // namespace bonsai::reachability
