// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/cfg.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace bonsai::reachability {
namespace {

// What a larger function takes to be built is given back.
constexpr uint32_t kSlotsToKeepScratch = 1 << 15;

bool GoesOn(Flow flow) { return flow != Flow::kJump && flow != Flow::kExit; }

}  // namespace

Cfg BuildCfg(const object::Function& function) { return CfgBuilder().Build(function); }

Cfg CfgBuilder::Build(const object::Function& function) {
  function_ = &function;
  opaque_ = backward_ = split_ = false;
  starts_.assign(size() / 64 + 1, 0);
  if (block_at_.size() < size()) block_at_.resize(size());
  Clear();
  Scan();
  if (split_ && !opaque_) Split();
  if (opaque_) Clear(), ScanOpaque();
  Connect();
  if (backward_ || opaque_) {
    Order();
    MarkHeads();
  }
  if (opaque_) {
    for (Block& block : blocks_) {
      block.live_registers = kAllRegisters;
      block.read_slots = ~SlotSet{0};
    }
  } else {
    FindLiveRegisters(accesses_, order_, back_, blocks_);
  }
  if (size() <= kSlotsToKeepScratch) return {blocks_, heads_, opaque_};
  Cfg cfg{std::move(blocks_), std::move(heads_), opaque_};
  *this = CfgBuilder();
  return cfg;
}

void CfgBuilder::Clear() {
  blocks_.clear();
  accesses_.clear();
  heads_.clear();
  back_.clear();
  next_ref_ = 0;
}

// Cuts the code into blocks, and marks where those behind begin.
void CfgBuilder::Scan() {
  for (uint32_t slot = 0; slot < size() && !opaque_;) slot = ScanBlock(slot);
}

// Returns where the next one begins.
uint32_t CfgBuilder::ScanBlock(uint32_t begin) {
  SetStart(begin);
  const std::vector<object::Ref>& refs = function_->refs;
  while (next_ref_ < refs.size() && refs[next_ref_].slot < begin) ++next_ref_;
  const Insn* const insns = function_->insns.data();
  // Only its last instruction can mark one.
  const uint32_t limit = NextStart(begin);
  Access access;
  Flow flow = Flow::kNext;
  uint32_t slot = begin;
  for (bool ended = false; !ended;) {
    const Insn* const insn = access.AddStraight(insns + slot, insns + limit);
    slot = static_cast<uint32_t>(insn - insns);
    if (slot >= limit) break;
    const uint32_t before = slot;
    flow = ScanOther(*insn, begin, slot);
    ended = flow != Flow::kNext || slot == before || slot >= limit;
    if (slot != before) access.Add(*insn);
  }
  AddBlock({.begin = begin,
            .end = slot,
            .first_ref = static_cast<uint32_t>(next_ref_),
            .flow = flow});
  accesses_.push_back(access);
  return slot;
}

uint32_t CfgBuilder::NextStart(uint32_t slot) const {
  size_t word = (slot + 1) / 64;
  uint64_t bits = starts_[word] & ~uint64_t{0} << ((slot + 1) % 64);
  while (bits == 0 && ++word < starts_.size()) bits = starts_[word];
  if (bits == 0) return size();
  return static_cast<uint32_t>(word * 64) + static_cast<uint32_t>(std::countr_zero(bits));
}

// Jumps backwards told too late of some starts: blocks that hold one are scanned once more.
void CfgBuilder::Split() {
  unsplit_blocks_.swap(blocks_);
  unsplit_accesses_.swap(accesses_);
  blocks_.clear();
  accesses_.clear();
  blocks_.reserve(unsplit_blocks_.size() + unsplit_blocks_.size() / 8);
  accesses_.reserve(blocks_.capacity());
  next_ref_ = 0;
  for (size_t i = 0; i < unsplit_blocks_.size(); ++i) {
    const Block& block = unsplit_blocks_[i];
    if (NextStart(block.begin) >= block.end) {
      AddBlock(block);
      accesses_.push_back(unsplit_accesses_[i]);
    } else {
      for (uint32_t slot = block.begin; slot < block.end;) slot = ScanBlock(slot);
    }
  }
  if (size() <= kSlotsToKeepScratch) return;
  unsplit_blocks_ = {};
  unsplit_accesses_ = {};
}

// Moves `slot` behind the instruction; not when a block begins with it and this is another.
Flow CfgBuilder::ScanOther(const Insn& insn, uint32_t begin, uint32_t& slot) {
  const Flow flow = FlowOf(insn);
  if (IsLoadImm64(insn) && flow == Flow::kNext) {
    const bool whole = slot + 1 < size() && function_->insns[slot + 1].opcode == 0;
    opaque_ = opaque_ || !whole || IsStart(slot + 1);  // ... or a jump into an immediate
    slot += whole ? 2 : 1;
    return flow;
  }
  // A call is a block of its own: it waits there for what the function it calls returns.
  if ((flow == Flow::kCall || flow == Flow::kCallback) && slot != begin) return Flow::kNext;
  if (flow == Flow::kUnknown) opaque_ = true;
  if (HasTarget(flow)) MarkTarget(TargetOf(insn, slot), slot);
  ++slot;
  return flow;
}

void CfgBuilder::MarkTarget(int64_t to, uint32_t slot) {
  if (to < 0 || to >= size()) {
    opaque_ = true;
    return;
  }
  const auto target = static_cast<uint32_t>(to);
  // No instruction has opcode 0, but the second half of an immediate.
  if (function_->insns[target].opcode == 0) opaque_ = true;
  if (target <= slot) {
    backward_ = true;
    split_ = split_ || !IsStart(target);
  }
  SetStart(target);
}

// Each instruction a block.
void CfgBuilder::ScanOpaque() {
  std::fill(starts_.begin(), starts_.end(), 0);
  auto ref = function_->refs.begin();
  for (uint32_t slot = 0; slot < size();) {
    const Insn& insn = function_->insns[slot];
    Flow flow = FlowOf(insn);
    const bool immediate = IsLoadImm64(insn) && flow == Flow::kNext;
    const bool whole = slot + 1 < size() && function_->insns[slot + 1].opcode == 0;
    if (immediate && !whole) flow = Flow::kUnknown;
    const uint32_t end = slot + (immediate && whole ? 2 : 1);
    while (ref != function_->refs.end() && ref->slot < slot) ++ref;
    SetStart(slot);
    AddBlock({.begin = slot,
              .end = end,
              .first_ref = static_cast<uint32_t>(ref - function_->refs.begin()),
              .flow = flow});
    slot = end;
  }
}

void CfgBuilder::AddBlock(const Block& block) {
  block_at_[block.begin] = static_cast<uint32_t>(blocks_.size());
  blocks_.push_back(block);
}

uint32_t CfgBuilder::BlockAt(int64_t slot) const {
  if (slot < 0 || slot >= size() || !IsStart(static_cast<uint32_t>(slot))) return kNoBlock;
  return block_at_[static_cast<size_t>(slot)];
}

void CfgBuilder::Connect() {
  const auto count = static_cast<uint32_t>(blocks_.size());
  edges_.assign(count, 0);
  const bool forward = !backward_ && !opaque_;
  order_.resize(count);
  if (forward) std::iota(order_.begin(), order_.end(), 0u);
  for (uint32_t i = 0; i < count; ++i) {
    Block& block = blocks_[i];
    if (GoesOn(block.flow) && i + 1 < count) {
      block.next = i + 1;
      edges_[i + 1] += edges_[i + 1] < 2;
    }
    if (HasTarget(block.flow)) {
      block.target = BlockAt(TargetOf(function_->insns[block.last()], block.last()));
      // A jump that leaves the function, or into an immediate.
      if (block.target == kNoBlock) {
        block.flow = Flow::kUnknown;
      } else {
        edges_[block.target] += edges_[block.target] < 2;
      }
    }
    // What leads here lies before.
    if (forward) MarkHead(i, i == 0, edges_[i] > 1);
  }
}

// Reverse postorder; blocks that no path leads to come last.
void CfgBuilder::Order() {
  const auto count = static_cast<uint32_t>(blocks_.size());
  std::vector<uint8_t> seen(count, 0);  // edges of the block followed so far, plus one
  std::vector<uint32_t> path;
  uint32_t first = count;
  if (count > 0) path.push_back(0), seen[0] = 1;
  while (!path.empty()) {
    const uint32_t at = path.back();
    const Block& block = blocks_[at];
    if (seen[at] > 2) {
      order_[--first] = at;
      path.pop_back();
      continue;
    }
    const uint32_t to = seen[at]++ == 1 ? block.target : block.next;
    if (to != kNoBlock && seen[to] == 0) path.push_back(to), seen[to] = 1;
  }
  std::rotate(order_.begin(), order_.begin() + first, order_.end());
  uint32_t last = count - first;
  for (uint32_t i = 0; i < count && last < count; ++i) {
    if (seen[i] == 0) order_[last++] = i;
  }
}

void CfgBuilder::MarkHeads() {
  const auto count = static_cast<uint32_t>(blocks_.size());
  std::vector<uint32_t> number(count);
  for (uint32_t i = 0; i < count; ++i) number[order_[i]] = i;
  std::vector<int32_t> loops(count + 1, 0);  // edges back that begin or end to span here
  for (uint32_t i = 0; i < count; ++i) {
    const Block& block = blocks_[order_[i]];
    for (const uint32_t to : {block.next, block.target}) {
      if (to == kNoBlock || number[to] > i) continue;
      blocks_[to].loop_head = true;
      if (back_.empty() || back_.back() != order_[i]) back_.push_back(order_[i]);
      ++loops[number[to]], --loops[i + 1];
    }
  }
  int32_t depth = 0;
  for (uint32_t i = 0; i < count; ++i) {
    Block& block = blocks_[order_[i]];
    depth += loops[i];
    block.in_loop = depth > 0;
    MarkHead(order_[i], i == 0, edges_[order_[i]] > 1 || block.loop_head || opaque_);
  }
}

// `met`: paths meet there.
void CfgBuilder::MarkHead(uint32_t number, bool entry, bool met) {
  Block& block = blocks_[number];
  if (!entry && !met && block.flow != Flow::kCall && block.flow != Flow::kCallback) return;
  block.head = static_cast<uint32_t>(heads_.size());
  heads_.push_back(number);
}

}  // namespace bonsai::reachability
