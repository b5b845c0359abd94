// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/cfg.h"

#include <algorithm>

namespace bonsai::reachability {
namespace {

using object::Function;

bool GoesOn(Flow flow) { return flow != Flow::kJump && flow != Flow::kExit; }

// Marks of one slot.
enum : uint8_t { kLeader = 1, kSecondHalf = 2, kBroken = 4 };

class Builder {
 public:
  explicit Builder(const Function& function) : function_(function), marks_(size() + 1, 0) {}

  Cfg Build() {
    MarkLeaders();
    if (cfg_.opaque) {
      for (uint8_t& mark : marks_) mark |= kLeader;
    }
    MakeBlocks();
    Connect();
    Order();
    MarkHeads();
    FindLiveRegisters(accesses_, order_, cfg_);
    return std::move(cfg_);
  }

 private:
  uint32_t size() const { return static_cast<uint32_t>(function_.insns.size()); }

  void MarkLeaders() {
    const Insn* const insns = function_.insns.data();
    const uint32_t count = size();
    marks_[0] |= kLeader;
    for (uint32_t slot = 0; slot < count; ++slot) {
      const Insn& insn = insns[slot];
      const Flow flow = FlowOf(insn);
      if (flow == Flow::kNext) {
        if (IsLoadImm64(insn)) MarkLoadImm64(slot);
        continue;
      }
      leaders_ += 3;
      if (flow == Flow::kUnknown) cfg_.opaque = true;
      // A call is a block of its own: it waits there for what the function it calls returns.
      if (flow == Flow::kCall || flow == Flow::kCallback) marks_[slot] |= kLeader;
      marks_[slot + 1] |= kLeader;
      if (HasTarget(flow)) MarkTarget(TargetOf(insn, slot));
    }
  }

  void MarkLoadImm64(uint32_t& slot) {
    if (slot + 1 < size() && function_.insns[slot + 1].opcode == 0) {
      if (marks_[++slot] & kLeader) cfg_.opaque = true;  // a jump into an immediate
      marks_[slot] |= kSecondHalf;
    } else {
      marks_[slot] |= kBroken;
      cfg_.opaque = true;
    }
  }

  void MarkTarget(int64_t target) {
    if (target < 0 || target >= size()) {
      cfg_.opaque = true;
    } else {
      uint8_t& mark = marks_[static_cast<size_t>(target)];
      if (mark & kSecondHalf) cfg_.opaque = true;
      mark |= kLeader;
    }
  }

  void MakeBlocks() {
    const Insn* const insns = function_.insns.data();
    const uint8_t* const marks = marks_.data();
    auto ref = function_.refs.begin();
    block_at_.resize(size());
    cfg_.blocks.reserve(cfg_.opaque ? size() : std::min(leaders_ + 1, size()));
    accesses_.reserve(cfg_.blocks.capacity());
    for (uint32_t slot = 0; slot < size();) {
      Block block{.begin = slot};
      Access access;
      while (ref != function_.refs.end() && ref->slot < slot) ++ref;
      block.first_ref = static_cast<uint32_t>(ref - function_.refs.begin());
      uint32_t last = slot;
      do {
        access.Add(insns[slot]);
        last = slot;
        ++slot;
        if (marks[slot] & kSecondHalf) ++slot;
      } while (slot < size() && !(marks[slot] & kLeader));
      block.end = slot;
      block.flow = marks[last] & kBroken ? Flow::kUnknown : FlowOf(insns[last]);
      block_at_[block.begin] = static_cast<uint32_t>(cfg_.blocks.size());
      cfg_.blocks.push_back(block);
      accesses_.push_back(access);
    }
  }

  uint32_t BlockAt(int64_t slot) const {
    if (slot < 0 || slot >= size()) return kNoBlock;
    const uint32_t block = block_at_[static_cast<size_t>(slot)];
    return cfg_.blocks[block].begin == slot ? block : kNoBlock;
  }

  void Connect() {
    for (uint32_t i = 0; i < cfg_.blocks.size(); ++i) {
      Block& block = cfg_.blocks[i];
      if (GoesOn(block.flow) && i + 1 < cfg_.blocks.size()) block.next = i + 1;
      if (!HasTarget(block.flow)) continue;
      block.target = BlockAt(TargetOf(function_.insns[block.last()], block.last()));
      // A jump that leaves the function, or into an immediate.
      if (block.target == kNoBlock) block.flow = Flow::kUnknown;
    }
  }

  // Reverse postorder; blocks that no path leads to come last.
  void Order() {
    const auto count = static_cast<uint32_t>(cfg_.blocks.size());
    std::vector<uint8_t> seen(count, 0);  // edges of the block followed so far, plus one
    std::vector<uint32_t> path;
    order_.resize(count);
    uint32_t first = count;
    if (count > 0) path.push_back(0), seen[0] = 1;
    while (!path.empty()) {
      const uint32_t at = path.back();
      const Block& block = cfg_.blocks[at];
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

  void MarkHeads() {
    const auto count = static_cast<uint32_t>(cfg_.blocks.size());
    std::vector<uint32_t> number(count);
    for (uint32_t i = 0; i < count; ++i) number[order_[i]] = i;
    std::vector<uint8_t> edges(count, 0);      // 2: or more
    std::vector<int32_t> loops(count + 1, 0);  // edges back that begin or end to span here
    for (uint32_t i = 0; i < count; ++i) {
      const Block& block = cfg_.blocks[order_[i]];
      for (const uint32_t to : {block.next, block.target}) {
        if (to == kNoBlock) continue;
        if (edges[to] < 2) ++edges[to];
        if (number[to] > i) continue;
        cfg_.blocks[to].loop_head = true;
        ++loops[number[to]], --loops[i + 1];
      }
    }
    int32_t depth = 0;
    for (uint32_t i = 0; i < count; ++i) {
      Block& block = cfg_.blocks[order_[i]];
      depth += loops[i];
      block.in_loop = depth > 0;
      const bool head = i == 0 || edges[order_[i]] > 1 || block.loop_head || cfg_.opaque ||
                        block.flow == Flow::kCall || block.flow == Flow::kCallback;
      if (!head) continue;
      block.head = static_cast<uint32_t>(cfg_.heads.size());
      cfg_.heads.push_back(order_[i]);
    }
  }

  const Function& function_;
  std::vector<uint8_t> marks_;       // by slot, and one more
  std::vector<uint32_t> block_at_;   // by slot: right where a block begins
  std::vector<Access> accesses_;     // by block
  std::vector<uint32_t> order_;      // blocks in reverse postorder
  uint32_t leaders_ = 0;             // at most as many blocks
  Cfg cfg_;
};

}  // namespace

Cfg BuildCfg(const object::Function& function) { return Builder(function).Build(); }

}  // namespace bonsai::reachability
