// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/cfg.h"

#include <algorithm>

namespace bonsai::reachability {
namespace {

using object::Function;

bool HasTarget(Flow flow) {
  return flow == Flow::kJump || flow == Flow::kBranch || flow == Flow::kMayGoto;
}
bool GoesOn(Flow flow) { return flow != Flow::kJump && flow != Flow::kExit; }

// Marks of one slot.
enum : uint8_t { kLeader = 1, kSecondHalf = 2, kBroken = 4 };

class Builder {
 public:
  explicit Builder(const Function& function) : function_(function), marks_(size(), 0) {}

  Cfg Build() {
    MarkLeaders();
    if (cfg_.opaque) {
      for (uint8_t& mark : marks_) mark |= kLeader;
    }
    MakeBlocks();
    Connect();
    Order();
    return std::move(cfg_);
  }

 private:
  uint32_t size() const { return static_cast<uint32_t>(function_.insns.size()); }

  void MarkLeaders() {
    if (size() > 0) marks_[0] |= kLeader;
    for (uint32_t slot = 0; slot < size(); ++slot) {
      const Insn& insn = function_.insns[slot];
      if (IsLoadImm64(insn)) {
        const bool whole = slot + 1 < size() && function_.insns[slot + 1].opcode == 0 &&
                           FlowOf(insn) == Flow::kNext;
        if (whole) {
          marks_[++slot] |= kSecondHalf;
        } else {
          marks_[slot] |= kBroken;
          cfg_.opaque = true;
        }
        continue;
      }
      const Flow flow = FlowOf(insn);
      if (flow == Flow::kUnknown) cfg_.opaque = true;
      if (flow == Flow::kNext) continue;
      if (slot + 1 < size()) marks_[slot + 1] |= kLeader;
      if (!HasTarget(flow)) continue;
      const int64_t target = TargetOf(insn, slot);
      if (target < 0 || target >= size()) {
        cfg_.opaque = true;
      } else {
        marks_[target] |= kLeader;
      }
    }
    for (uint8_t mark : marks_) {
      if (mark == (kLeader | kSecondHalf)) cfg_.opaque = true;  // a jump into an immediate
    }
  }

  void MakeBlocks() {
    auto ref = function_.refs.begin();
    for (uint32_t slot = 0; slot < size();) {
      Block block{.begin = slot};
      while (ref != function_.refs.end() && ref->slot < slot) ++ref;
      block.first_ref = static_cast<uint32_t>(ref - function_.refs.begin());
      do {
        block.last = slot;
        ++slot;
        if (slot < size() && (marks_[slot] & kSecondHalf)) ++slot;
      } while (slot < size() && !(marks_[slot] & kLeader));
      block.end = slot;
      block.flow = marks_[block.last] & kBroken ? Flow::kUnknown
                                                : FlowOf(function_.insns[block.last]);
      cfg_.blocks.push_back(block);
    }
  }

  uint32_t BlockAt(int64_t slot) const {
    const auto found =
        std::lower_bound(cfg_.blocks.begin(), cfg_.blocks.end(), slot,
                         [](const Block& block, int64_t at) { return block.begin < at; });
    if (found == cfg_.blocks.end() || found->begin != slot) return kNoBlock;
    return static_cast<uint32_t>(found - cfg_.blocks.begin());
  }

  void Connect() {
    for (uint32_t i = 0; i < cfg_.blocks.size(); ++i) {
      Block& block = cfg_.blocks[i];
      if (GoesOn(block.flow) && i + 1 < cfg_.blocks.size()) block.next = i + 1;
      if (!HasTarget(block.flow)) continue;
      block.target = BlockAt(TargetOf(function_.insns[block.last], block.last));
      // A jump that leaves the function, or into an immediate.
      if (block.target == kNoBlock) block.flow = Flow::kUnknown;
    }
  }

  // Renumbers the blocks in reverse postorder.
  void Order() {
    const auto count = static_cast<uint32_t>(cfg_.blocks.size());
    std::vector<uint32_t> postorder;
    std::vector<uint8_t> seen(count, 0);  // edges of the block followed so far, plus one
    std::vector<uint32_t> path;
    if (count > 0) path.push_back(0), seen[0] = 1;
    while (!path.empty()) {
      const uint32_t at = path.back();
      const Block& block = cfg_.blocks[at];
      if (seen[at] > 2) {
        postorder.push_back(at);
        path.pop_back();
        continue;
      }
      const uint32_t to = seen[at]++ == 1 ? block.target : block.next;
      if (to != kNoBlock && seen[to] == 0) path.push_back(to), seen[to] = 1;
    }
    std::vector<uint32_t> order(postorder.rbegin(), postorder.rend());
    for (uint32_t i = 0; i < count; ++i) {
      if (seen[i] == 0) order.push_back(i);
    }
    Renumber(order);
  }

  void Renumber(const std::vector<uint32_t>& order) {
    std::vector<uint32_t> number(order.size());
    for (uint32_t i = 0; i < order.size(); ++i) number[order[i]] = i;
    std::vector<Block> blocks;
    blocks.reserve(order.size());
    for (uint32_t old : order) blocks.push_back(cfg_.blocks[old]);
    for (uint32_t i = 0; i < blocks.size(); ++i) {
      for (uint32_t* to : {&blocks[i].next, &blocks[i].target}) {
        if (*to == kNoBlock) continue;
        *to = number[*to];
        if (*to <= i) blocks[*to].loop_head = true;
      }
    }
    cfg_.blocks = std::move(blocks);
  }

  const Function& function_;
  std::vector<uint8_t> marks_;
  Cfg cfg_;
};

}  // namespace

Cfg BuildCfg(const object::Function& function) {
  Cfg cfg = Builder(function).Build();
  FindLiveRegisters(function, cfg);
  return cfg;
}

}  // namespace bonsai::reachability
