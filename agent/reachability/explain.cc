// SPDX-License-Identifier: Apache-2.0
// Why a map or a program is dead: from each place that refers to it back to the branch that cuts
// that place off.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "agent/reachability/cfg.h"
#include "agent/reachability/helpers.h"
#include "agent/reachability/liveness.h"

namespace bonsai::reachability {
namespace {

using object::ObjectSpec;
using object::Ref;
using object::RefKind;

constexpr uint32_t kLookBack = 16;  // instructions before a tail call that may set it up

struct Site {
  uint32_t function = 0, slot = 0;
  auto operator<=>(const Site&) const = default;
};

struct TailSite {
  Site site;
  std::optional<uint32_t> map, slot;
};

DecidedBranch InWords(const ObjectSpec& object, const Decision& decision) {
  DecidedBranch branch{.function = decision.function, .slot = decision.slot,
                       .taken = decision.taken};
  for (const uint32_t constant : decision.constants) {
    branch.constants.push_back(object.constants[constant].name);
  }
  const auto& lines = object.functions[branch.function].lines;
  const auto after = std::upper_bound(
      lines.begin(), lines.end(), branch.slot,
      [](uint32_t slot, const object::SourceLine& line) { return slot < line.slot; });
  if (after == lines.begin()) return branch;
  const object::SourceLine& line = *(after - 1);
  branch.file = object.String(line.file);
  branch.line = line.line;
  branch.text = object.String(line.text);
  return branch;
}

class Explainer {
 public:
  Explainer(const ObjectSpec& object, const constants::ConstantSet& constants,
            const Liveness& liveness)
      : object_(object), liveness_(liveness), cfgs_(object.functions.size()),
        predecessors_(object.functions.size()) {
    for (const constants::NamedValue& value : constants.values) values_[value.name] = value.value;
    for (const DecidedBranch& branch : liveness.branches) {
      branches_[{branch.function, branch.slot}] = &branch;
    }
    for (uint32_t f = 0; f < object.functions.size(); ++f) {
      for (const Ref& ref : object.functions[f].refs) IndexRef(f, ref);
      IndexTailCalls(f);
    }
  }

  std::string WhyMap(uint32_t map) {
    std::vector<Site> sites = maps_[map];
    std::set<uint32_t> seen{map};
    // A map of maps holds the others that its initialiser names.
    for (std::vector<uint32_t> left{map}; !left.empty();) {
      const std::string& name = object_.maps[left.back()].name;
      left.pop_back();
      for (uint32_t outer = 0; outer < object_.maps.size(); ++outer) {
        for (const auto& [slot, inner] : object_.maps[outer].initial_maps) {
          if (inner != name || !seen.insert(outer).second) continue;
          sites.insert(sites.end(), maps_[outer].begin(), maps_[outer].end());
          left.push_back(outer);
        }
      }
    }
    return Why(std::move(sites));
  }

  std::string WhyProgram(uint32_t program) {
    return Why(TailSitesOf(object_.programs[program].name));
  }

 private:
  void IndexRef(uint32_t function, const Ref& ref) {
    if (ref.kind == RefKind::kMap || ref.kind == RefKind::kArena) {
      maps_[ref.index].push_back({function, ref.slot});
    }
    if (ref.kind == RefKind::kCall || ref.kind == RefKind::kFunctionAddress) {
      calls_[ref.index].push_back({function, ref.slot});
    }
  }

  void IndexTailCalls(uint32_t index) {
    const object::Function& function = object_.functions[index];
    for (uint32_t slot = 0; slot < function.insns.size(); ++slot) {
      const Insn& call = function.insns[slot];
      if (call.opcode != (BPF_JMP | BPF_CALL) || call.src != 0 || call.imm != kHelperTailCall) {
        continue;
      }
      tails_.push_back(TailSiteAt(index, slot));
    }
  }

  // bpf_tail_call(r1, map, slot): map and slot are set shortly before, or else unknown.
  TailSite TailSiteAt(uint32_t index, uint32_t slot) const {
    const object::Function& function = object_.functions[index];
    TailSite tail{.site = {index, slot}};
    bool map_set = false, slot_set = false;
    for (uint32_t back = 1; back <= std::min(slot, kLookBack); ++back) {
      const uint32_t at = slot - back;
      const Insn& insn = function.insns[at];
      if (ClassOf(insn) == BPF_JMP) break;  // a call sets both; before a jump it may be otherwise
      const bool writes = ClassOf(insn) != BPF_ST && ClassOf(insn) != BPF_STX &&
                          ClassOf(insn) != BPF_JMP32 && insn.opcode != 0;
      if (writes && insn.dst == BPF_REG_2 && !map_set) {
        const auto ref = std::lower_bound(function.refs.begin(), function.refs.end(), at,
                                          [](const Ref& r, uint32_t s) { return r.slot < s; });
        map_set = true;
        if (ref != function.refs.end() && ref->slot == at && ref->kind == RefKind::kMap) {
          tail.map = ref->index;
        }
      }
      if (writes && insn.dst == BPF_REG_3 && !slot_set) {
        slot_set = true;
        const bool alu = ClassOf(insn) == BPF_ALU || ClassOf(insn) == BPF_ALU64;
        if (alu && OpOf(insn) == BPF_MOV && !UsesRegister(insn)) tail.slot = insn.imm;
      }
    }
    return tail;
  }

  std::vector<Site> TailSitesOf(const std::string& program) const {
    std::vector<object::TailSlot> slots;
    const object::Program* spec = object_.FindProgram(program);
    if (spec != nullptr && spec->tail) slots.push_back(*spec->tail);
    for (const object::Map& map : object_.maps) {
      for (const auto& [slot, name] : map.initial_programs) {
        if (name == program) slots.push_back({map.name, slot});
      }
    }
    std::vector<Site> sites;
    for (const bool exact : {true, false}) {
      for (const TailSite& tail : tails_) {
        for (const object::TailSlot& slot : slots) {
          if (tail.map && object_.maps[*tail.map].name != slot.map) continue;
          if (exact ? tail.slot != slot.slot : tail.slot.has_value()) continue;
          sites.push_back(tail.site);
        }
      }
    }
    return sites;
  }

  // Goes back from dead places, breadth first, until a branch with a constant is met.
  std::string Why(std::vector<Site> sites) {
    std::string unexplained;
    std::set<Site> seen;
    for (size_t next = 0; next < sites.size(); ++next) {
      const Site site = sites[next];
      if (!seen.insert(site).second) continue;
      if (!liveness_.functions[site.function].live) {
        const auto callers = calls_.find(site.function);
        if (callers != calls_.end()) {
          sites.insert(sites.end(), callers->second.begin(), callers->second.end());
        }
        const auto tails = TailSitesOf(object_.functions[site.function].name);
        sites.insert(sites.end(), tails.begin(), tails.end());
        continue;
      }
      if (std::string tail = DescribeTailCall(site); !tail.empty()) return tail;
      const DecidedBranch* branch = CutBefore(site);
      if (branch == nullptr) continue;
      if (!branch->constants.empty()) return Describe(*branch);
      if (unexplained.empty()) unexplained = Describe(*branch);
    }
    return unexplained;
  }

  // The nearest decided branch before a place, through dead code and, if no constant was found
  // yet, through live code as well: what that decided may be why the later one is decided.
  const DecidedBranch* CutBefore(Site site) {
    const Cfg& cfg = CfgOf(site.function);
    const auto& before = PredecessorsOf(site.function);
    std::vector<uint32_t> queue;
    std::vector<bool> seen(cfg.blocks.size(), false);
    for (uint32_t i = 0; i < cfg.blocks.size(); ++i) {
      if (cfg.blocks[i].begin <= site.slot && site.slot < cfg.blocks[i].end) queue.push_back(i);
    }
    const DecidedBranch* first = nullptr;
    for (size_t next = 0; next < queue.size(); ++next) {
      if (seen[queue[next]]) continue;
      seen[queue[next]] = true;
      for (uint32_t block : before[queue[next]]) {
        const auto branch = branches_.find({site.function, cfg.blocks[block].last()});
        if (branch != branches_.end()) {
          if (!branch->second->constants.empty()) return branch->second;
          if (first == nullptr) first = branch->second;
        }
        queue.push_back(block);
      }
    }
    return first;
  }

  const Cfg& CfgOf(uint32_t function) {
    if (!cfgs_[function]) {
      cfgs_[function] = std::make_unique<Cfg>(BuildCfg(object_.functions[function]));
    }
    return *cfgs_[function];
  }

  const std::vector<std::vector<uint32_t>>& PredecessorsOf(uint32_t function) {
    auto& before = predecessors_[function];
    const Cfg& cfg = CfgOf(function);
    if (before.size() == cfg.blocks.size()) return before;
    before.resize(cfg.blocks.size());
    for (uint32_t i = 0; i < cfg.blocks.size(); ++i) {
      for (uint32_t to : {cfg.blocks[i].next, cfg.blocks[i].target}) {
        if (to != kNoBlock) before[to].push_back(i);
      }
    }
    return before;
  }

  // A tail call that runs, but to another slot: "" unless constants chose that one.
  std::string DescribeTailCall(Site site) const {
    if (!liveness_.functions[site.function].live_slots[site.slot]) return "";
    for (const Decision& call : liveness_.tail_calls) {
      if (call.function == site.function && call.slot == site.slot && !call.constants.empty()) {
        return Describe(InWords(object_, call));
      }
    }
    return "";
  }

  std::string Describe(const DecidedBranch& branch) const {
    std::string what;
    for (const std::string& name : branch.constants) {
      const auto value = values_.find(name);
      what += what.empty() ? "" : ", ";
      what += value == values_.end() ? name : name + " = " + value->second;
    }
    if (what.empty()) what = "never so";
    const std::string file = branch.file.substr(branch.file.rfind('/') + 1);
    const std::string place =
        file.empty() ? fmt::format("{}+{}", object_.functions[branch.function].name, branch.slot)
                     : fmt::format("{}:{}", file, branch.line);
    const size_t begin = branch.text.find_first_not_of(" \t");
    if (begin == std::string::npos) return fmt::format("{} at {}", what, place);
    const size_t end = branch.text.find_last_not_of(" \t\r\n{");
    if (end == std::string::npos || end < begin) return fmt::format("{} at {}", what, place);
    return fmt::format("{} at {} `{}`", what, place, branch.text.substr(begin, end - begin + 1));
  }

  const ObjectSpec& object_;
  const Liveness& liveness_;
  std::map<std::string, std::string> values_;
  std::map<std::pair<uint32_t, uint32_t>, const DecidedBranch*> branches_;
  std::map<uint32_t, std::vector<Site>> maps_, calls_;
  std::vector<TailSite> tails_;
  std::vector<std::unique_ptr<Cfg>> cfgs_;
  std::vector<std::vector<std::vector<uint32_t>>> predecessors_;
};

}  // namespace

void Explain(const ObjectSpec& object, const constants::ConstantSet& constants,
             Liveness& liveness) {
  liveness.branches.clear();
  for (const Decision& decision : liveness.decisions) {
    liveness.branches.push_back(InWords(object, decision));
  }
  Explainer explainer(object, constants, liveness);
  for (uint32_t i = 0; i < object.maps.size(); ++i) {
    if (!liveness.maps[i]) liveness.map_reasons[i] = explainer.WhyMap(i);
  }
  for (uint32_t i = 0; i < object.programs.size(); ++i) {
    if (!liveness.programs[i].live) liveness.program_reasons[i] = explainer.WhyProgram(i);
  }
}

}  // namespace bonsai::reachability
