// SPDX-License-Identifier: Apache-2.0
// Which slots tail calls ask for, as far as the code says by itself.
#include <algorithm>

#include "agent/reachability/explain_graph.h"
#include "agent/reachability/helpers.h"

namespace bonsai::reachability {
namespace {

using object::Ref;
using object::RefKind;
using Before = std::vector<std::vector<uint32_t>>;  // blocks before each block

constexpr size_t kMaxBlocks = 64;  // looked at for one register

bool IsTailCall(const Insn& insn) {
  return insn.opcode == (BPF_JMP | BPF_CALL) && insn.src == 0 && insn.imm == kHelperTailCall;
}

Before BlocksBefore(const Cfg& cfg) {
  Before before(cfg.blocks.size());
  for (uint32_t i = 0; i < cfg.blocks.size(); ++i) {
    for (const uint32_t to : {cfg.blocks[i].next, cfg.blocks[i].target}) {
      if (to != kNoBlock) before[to].push_back(i);
    }
  }
  return before;
}

// The instructions that give a register what it has at some place; empty: not known.
class Setters {
 public:
  Setters(const object::Function& function, const Cfg& cfg, const Before& before)
      : function_(function), cfg_(cfg), before_(before) {}

  std::vector<uint32_t> Of(int reg, uint32_t block, uint32_t slot) {
    left_ = {{block, slot, reg}};
    for (size_t i = 0; i < left_.size() && known_; ++i) GoBack(left_[i]);
    std::sort(found_.begin(), found_.end());
    return known_ ? found_ : std::vector<uint32_t>();
  }

 private:
  struct Place {
    uint32_t block = 0, end = 0;  // the slots of the block before `end`
    int reg = 0;
  };

  void GoBack(Place place) {
    const Block& block = cfg_.blocks[place.block];
    const auto bit = [&] { return static_cast<RegisterSet>(1u << place.reg); };
    for (uint32_t slot = place.end; slot-- > block.begin;) {
      const Insn& insn = function_.insns[slot];
      if (insn.opcode == 0) continue;  // the second half of an immediate
      Access access;
      access.Add(insn);
      if ((access.writes & bit()) == 0) continue;
      const bool alu = ClassOf(insn) == BPF_ALU || ClassOf(insn) == BPF_ALU64;
      if (IsLoadImm64(insn) || (alu && OpOf(insn) == BPF_MOV && !UsesRegister(insn))) {
        found_.push_back(slot);
        return;
      }
      known_ = known_ && alu && OpOf(insn) == BPF_MOV && insn.offset == 0;
      if (!known_) return;
      place.reg = insn.src;
    }
    known_ = known_ && !before_[place.block].empty() && !cfg_.opaque && left_.size() < kMaxBlocks;
    if (!known_) return;
    for (const uint32_t other : before_[place.block]) Add(other, place.reg);
  }

  void Add(uint32_t block, int reg) {
    const bool known = std::any_of(left_.begin() + 1, left_.end(), [&](const Place& place) {
      return place.block == block && place.reg == reg;
    });
    if (!known) left_.push_back({block, cfg_.blocks[block].end, reg});
  }

  const object::Function& function_;
  const Cfg& cfg_;
  const Before& before_;
  std::vector<Place> left_;
  std::vector<uint32_t> found_;
  bool known_ = true;
};

}  // namespace

// bpf_tail_call(context, map, slot).
void CodeGraph::AddTailSite(uint32_t index, uint32_t slot, const Before& before) {
  const object::Function& function = object_.functions[index];
  TailSite site{.node = NodeAt(index, slot), .function = index, .slot = slot, .set_at = slot};
  site.setter = site.node;
  const uint32_t block = site.node - first_[index];
  std::optional<uint32_t> map;
  bool one_map = true;
  for (const uint32_t at : Setters(function, cfgs_[index], before).Of(BPF_REG_2, block, slot)) {
    const auto ref = std::lower_bound(function.refs.begin(), function.refs.end(), at,
                                      [](const Ref& r, uint32_t s) { return r.slot < s; });
    const bool is_map = ref != function.refs.end() && ref->slot == at && ref->kind == RefKind::kMap;
    one_map = one_map && is_map && map.value_or(ref->index) == ref->index;
    if (is_map) map = ref->index;
  }
  if (one_map) site.map = map;
  const auto setters = Setters(function, cfgs_[index], before).Of(BPF_REG_3, block, slot);
  for (const uint32_t at : setters) {
    site.index = static_cast<uint32_t>(function.insns[at].imm);
    site.setter = NodeAt(index, at);
    site.set_at = at;
    tail_sites_.push_back(site);
  }
  if (setters.empty()) tail_sites_.push_back(site);
}

void CodeGraph::AddTailSites(uint32_t index) {
  const object::Insns& insns = object_.functions[index].insns;
  Before before;
  for (uint32_t slot = 0; slot < insns.size(); ++slot) {
    if (!IsTailCall(insns[slot])) continue;
    if (before.empty()) before = BlocksBefore(cfgs_[index]);
    AddTailSite(index, slot, before);
  }
}

}  // namespace bonsai::reachability
