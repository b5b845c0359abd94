// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/neutralise.h"

#include <fmt/format.h>
#include <linux/bpf.h>

#include <map>
#include <set>
#include <string>
#include <utility>

#include "agent/plan/decision.h"

namespace bonsai::plan {
namespace {

using object::Function;
using object::Insn;
using object::ObjectSpec;
using object::Ref;
using object::RefKind;
using reachability::DecidedBranch;
using reachability::Liveness;

struct Site {
  uint32_t function = 0, slot = 0;
  auto operator<=>(const Site&) const = default;
};

bool CallsFunction(const Ref& ref) {
  return ref.kind == RefKind::kCall || ref.kind == RefKind::kFunctionAddress;
}

// Where dead code goes on from `slot`. A guess is good enough: this finds reasons, not what to cut.
std::vector<int64_t> Successors(const Function& function, uint32_t slot) {
  const Insn& insn = function.insns[slot];
  const int64_t next = int64_t{slot} + (insn.opcode == (BPF_LD | BPF_IMM | BPF_DW) ? 2 : 1);
  const uint8_t kind = BPF_CLASS(insn.opcode), op = BPF_OP(insn.opcode);
  if ((kind != BPF_JMP && kind != BPF_JMP32) || op == BPF_CALL) return {next};
  if (op == BPF_EXIT) return {};
  const int64_t target = next + (insn.opcode == (BPF_JMP32 | BPF_JA) ? insn.imm : insn.offset);
  if (op == BPF_JA) return {target};
  return {next, target};
}

// For each dead place that a decided branch cuts off, that branch.
class Reasons {
 public:
  explicit Reasons(const AnalyzedObject& object) : object_(object) {
    for (const DecidedBranch& branch : object.liveness.branches) {
      if (!branch.constants.empty()) Flood(branch);
    }
    for (uint32_t f = 0; f < object.spec->functions.size(); ++f) {
      for (const Ref& ref : object.spec->functions[f].refs) {
        if (CallsFunction(ref)) callers_[ref.index].push_back({f, ref.slot});
      }
    }
  }

  // Goes from dead calls to the callers of the functions they stand in until a branch explains one.
  std::string Why(std::vector<Site> sites) const {
    std::set<Site> seen;
    for (size_t next = 0; next < sites.size(); ++next) {
      const Site site = sites[next];
      if (!seen.insert(site).second) continue;
      if (auto cut = cut_by_.find(site); cut != cut_by_.end()) {
        return DescribeDecision(object_.constants, *cut->second);
      }
      if (auto callers = callers_.find(site.function); callers != callers_.end()) {
        sites.insert(sites.end(), callers->second.begin(), callers->second.end());
      }
    }
    return "only code that is never run calls it";
  }

 private:
  void Flood(const DecidedBranch& branch) {
    const Function& function = object_.spec->functions[branch.function];
    const std::vector<bool>& live = object_.liveness.functions[branch.function].live_slots;
    const std::vector<int64_t> ways = Successors(function, branch.slot);
    if (ways.size() != 2) return;
    for (std::vector<int64_t> left{ways[branch.taken ? 0 : 1]}; !left.empty();) {
      const int64_t slot = left.back();
      left.pop_back();
      if (slot < 0 || slot >= static_cast<int64_t>(live.size()) || live[slot]) continue;
      if (!cut_by_.emplace(Site{branch.function, static_cast<uint32_t>(slot)}, &branch).second) {
        continue;
      }
      for (int64_t next : Successors(function, static_cast<uint32_t>(slot))) left.push_back(next);
    }
  }

  const AnalyzedObject& object_;
  std::map<Site, const DecidedBranch*> cut_by_;
  std::map<uint32_t, std::vector<Site>> callers_;
};

// SOUND: two symbols may name the same code (aliases), and one of them may look dead. A place is
// dead only if no function it belongs to has it alive.
std::set<std::pair<std::string, uint32_t>> LiveCalls(const AnalyzedObject& object) {
  std::set<std::pair<std::string, uint32_t>> places;
  for (uint32_t f = 0; f < object.spec->functions.size(); ++f) {
    const Function& function = object.spec->functions[f];
    for (const Ref& ref : function.refs) {
      if (!CallsFunction(ref) || !object.liveness.functions[f].live_slots[ref.slot]) continue;
      places.emplace(function.section, function.section_slot + ref.slot);
    }
  }
  return places;
}

// Dead calls by the function they call; of a global function that is no program itself.
std::map<uint32_t, std::vector<Site>> DeadCalls(const AnalyzedObject& object) {
  const ObjectSpec& spec = *object.spec;
  const auto live = LiveCalls(object);
  std::set<uint32_t> programs;
  for (const object::Program& program : spec.programs) programs.insert(program.function);
  std::map<uint32_t, std::vector<Site>> calls;
  for (uint32_t f = 0; f < spec.functions.size(); ++f) {
    const Function& function = spec.functions[f];
    for (const Ref& ref : function.refs) {
      if (!CallsFunction(ref) || !spec.functions[ref.index].is_global) continue;
      if (programs.contains(ref.index)) continue;
      if (live.contains({function.section, function.section_slot + ref.slot})) continue;
      calls[ref.index].push_back({f, ref.slot});
    }
  }
  return calls;
}

}  // namespace

std::vector<NeutralisedFunction> Neutralise(const AnalyzedObject& object) {
  std::vector<NeutralisedFunction> plans;
  const std::map<uint32_t, std::vector<Site>> calls = DeadCalls(object);
  if (calls.empty()) return plans;
  const Reasons reasons(object);
  for (const auto& [index, sites] : calls) {
    const Function& function = object.spec->functions[index];
    NeutralisedFunction plan{.name = function.name, .reason = reasons.Why(sites),
                             .everywhere = !object.liveness.functions[index].live,
                             .slots = static_cast<uint32_t>(function.insns.size())};
    std::set<std::pair<std::string, uint32_t>> places;
    for (const Site& site : sites) {
      const Function& caller = object.spec->functions[site.function];
      places.emplace(caller.section, caller.section_slot + site.slot);
    }
    for (const auto& [section, slot] : places) plan.calls.push_back({section, slot});
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace bonsai::plan
