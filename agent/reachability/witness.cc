// SPDX-License-Identifier: Apache-2.0
// The walk from the entries; witness_path.cc tells what it found.
#include "agent/reachability/witness.h"

#include <algorithm>

#include "agent/reachability/collect.h"

namespace bonsai::reachability {
namespace {

using object::Ref;
using object::RefKind;

// Visits beyond which programs are walked together.
constexpr uint64_t kMaxVisits = 1u << 19;
}  // namespace

Witnesses::Witnesses(const Subject& subject, const CodeGraph& graph,
                     const std::vector<std::string>& values)
    : subject_(subject),
      graph_(graph),
      values_(values),
      decisions_(graph.block_count(), nullptr),
      program_visit_(subject.object.programs.size(), kNone),
      function_visit_(subject.object.functions.size(), kNone),
      map_use_(subject.object.maps.size()),
      held_by_(subject.object.maps.size(), kNone) {
  Prepare();
  IndexBlocksBefore();
  Walk();
}

void Witnesses::IndexBlocksBefore() {
  before_offset_.assign(graph_.block_count() + 1, 0);
  const auto each = [&](auto&& add) {
    for (uint32_t node = 0; node < graph_.block_count(); ++node) {
      const Block& block = graph_.BlockOf(node);
      const uint32_t entry = graph_.Entry(graph_.FunctionOf(node));
      if (block.next != kNoBlock) add(node, entry + block.next);
      if (block.target != kNoBlock) add(node, entry + block.target);
    }
  };
  each([&](uint32_t, uint32_t to) { ++before_offset_[to + 1]; });
  for (uint32_t i = 0; i < graph_.block_count(); ++i) before_offset_[i + 1] += before_offset_[i];
  before_.resize(before_offset_.back());
  std::vector<uint32_t> at(before_offset_.begin(), before_offset_.end() - 1);
  each([&](uint32_t from, uint32_t to) { before_[at[to]++] = from; });
}

void Witnesses::Prepare() {
  const object::ObjectSpec& object = subject_.object;
  for (const Decision& decision : subject_.liveness.decisions) {
    decisions_[graph_.NodeAt(decision.function, decision.slot)] = &decision;
  }
  for (const TailTarget& target : graph_.tail_targets()) {
    const std::string_view map = object.maps[target.map].name;
    programs_by_slot_.emplace(std::pair(map, target.slot), target.program);
  }
  for (const TailSite& site : graph_.tail_sites()) {
    if (!site.IsExact() || !SlotMayBeSet(site)) continue;
    if (!subject_.liveness.functions[site.function].live_slots[site.slot]) continue;
    exact_.emplace(object.maps[*site.map].name, *site.index);
  }
  uint64_t visits = 0;
  std::set<std::pair<std::string_view, uint32_t>> tails;
  for (const ProgramLiveness& program : subject_.liveness.programs) {
    for (const uint32_t function : program.functions) {
      visits += graph_.CfgOf(function).blocks.size();
    }
    for (const object::TailSlot& tail : program.tail_calls) {
      if (tails.emplace(tail.map, tail.slot).second) all_tails_.push_back(tail);
    }
  }
  together_ = visits > std::max<uint64_t>(kMaxVisits, graph_.block_count());
}

void Witnesses::Walk() {
  AddRoots(true);
  do {
    Drain();
    // The last are those that Analyze() was told to start with, and this was not.
  } while (AddLate() || AddLost() || AddRoots(false));
  Hold();
}

// Maps that others hold from the start.
void Witnesses::Hold() {
  std::vector<uint32_t> maps;
  for (uint32_t map = 0; map < map_use_.size(); ++map) {
    if (map_use_[map].visit != kNone) maps.push_back(map);
  }
  for (size_t i = 0; i < maps.size(); ++i) {
    for (const auto& [slot, name] : subject_.object.maps[maps[i]].initial_maps) {
      const object::Map* inner = subject_.object.FindMap(name);
      if (inner == nullptr) continue;
      const auto index = static_cast<uint32_t>(inner - subject_.object.maps.data());
      if (map_use_[index].visit != kNone || held_by_[index] != kNone) continue;
      held_by_[index] = maps[i];
      maps.push_back(index);
    }
  }
}

// Programs that start by themselves.
bool Witnesses::AddRoots(bool declared) {
  const size_t before = visits_.size();
  const std::vector<std::string>& named = subject_.entries;
  for (uint32_t i = 0; i < program_visit_.size(); ++i) {
    const object::Program& program = subject_.object.programs[i];
    if (!subject_.liveness.programs[i].live || program_visit_[i] != kNone) continue;
    const bool entry = named.empty()
                           ? !program.tail.has_value()
                           : std::find(named.begin(), named.end(), program.name) != named.end();
    if (declared && !entry) continue;
    Start(i, {.program = i, .kind = Step::Kind::kEntry});
    if (!declared) break;  // what it leads to starts no more by itself
  }
  return visits_.size() > before;
}

// Tail calls to where another one that names its slot has not led.
bool Witnesses::AddLate() {
  std::vector<Jump> late = std::move(late_);
  late_.clear();
  const size_t before = visits_.size();
  for (const Jump& jump : late) Start(jump.program, jump.visit);
  return visits_.size() > before;
}

// Functions whose address got lost, so that they count as called from anywhere.
bool Witnesses::AddLost() {
  const size_t before = visits_.size();
  for (uint32_t i = 0; i < program_visit_.size(); ++i) {
    const uint32_t start = program_visit_[i];
    if (start == kNone) continue;
    for (const uint32_t function : subject_.liveness.programs[i].functions) {
      if (function_visit_[function] != kNone) continue;
      Enter(function, After(start, 0, Step::Kind::kCallback));
    }
  }
  return visits_.size() > before;
}

void Witnesses::Drain() {
  for (; next_ < visits_.size(); ++next_) {
    const auto at = static_cast<uint32_t>(next_);
    FollowRefs(at);
    FollowFlow(at);
    FollowTails(at);
  }
}

bool Witnesses::Runs(uint32_t program, uint32_t function) const {
  return together_ ? subject_.liveness.functions[function].live
                   : subject_.liveness.programs[program].functions.contains(function);
}

std::vector<bool> Witnesses::OpenBlocks(uint32_t program, uint32_t function) const {
  const std::vector<Block>& blocks = graph_.CfgOf(function).blocks;
  std::vector<bool> open(blocks.size());
  if (together_) {
    const std::vector<bool>& live = subject_.liveness.functions[function].live_slots;
    for (size_t i = 0; i < blocks.size(); ++i) open[i] = live[blocks[i].begin];
    return open;
  }
  const auto code = subject_.liveness.programs[program].code.find(function);
  if (code == subject_.liveness.programs[program].code.end()) return open;
  auto range = code->second.begin();
  for (size_t i = 0; i < blocks.size(); ++i) {
    while (range != code->second.end() && range->second < blocks[i].begin) ++range;
    open[i] = range != code->second.end() && range->first <= blocks[i].begin;
  }
  return open;
}

uint32_t Witnesses::AreaOf(uint32_t program, uint32_t function) {
  const auto [found, made] = area_index_.try_emplace({together_ ? 0 : program, function},
                                                     static_cast<uint32_t>(areas_.size()));
  if (made) areas_.push_back({.function = function, .open = OpenBlocks(program, function)});
  return found->second;
}

Witnesses::Visit Witnesses::After(uint32_t at, uint32_t slot, Step::Kind kind) const {
  return {.program = visits_[at].program, .parent = at, .slot = slot, .kind = kind};
}

void Witnesses::Enter(uint32_t function, Visit visit) {
  if (!graph_.HasCode(function) || !Runs(visit.program, function)) return;
  visit.area = AreaOf(visit.program, function);
  if (!areas_[visit.area].open[0]) return;
  areas_[visit.area].open[0] = false;
  if (function_visit_[function] == kNone) {
    function_visit_[function] = static_cast<uint32_t>(visits_.size());
  }
  visits_.push_back(visit);
}

void Witnesses::Start(uint32_t program, Visit visit) {
  if (!subject_.liveness.programs[program].live || program_visit_[program] != kNone) return;
  const auto at = static_cast<uint32_t>(visits_.size());
  const uint32_t function = subject_.object.programs[program].function;
  visit.program = program;
  // In another program its block may have been visited as part of a function that is called.
  if (together_) areas_[AreaOf(program, function)].open[0] = true;
  Enter(function, visit);
  if (visits_.size() == at) return;
  program_visit_[program] = at;
  for (const std::string& tag : subject_.object.functions[function].tags) {
    if (!tag.starts_with(kExceptionTag)) continue;
    for (uint32_t i = 0; i < subject_.object.functions.size(); ++i) {
      if (subject_.object.functions[i].name != tag.substr(kExceptionTag.size())) continue;
      Enter(i, After(at, 0, Step::Kind::kCallback));
    }
  }
}

void Witnesses::Go(uint32_t at, uint32_t block) {
  Area& area = areas_[visits_[at].area];
  if (block == kNoBlock || !area.open[block]) return;
  area.open[block] = false;
  Visit visit = After(at, graph_.BlockOf(NodeOf(visits_[at])).last(), Step::Kind::kBranch);
  visit.area = visits_[at].area;
  visit.block = block;
  visits_.push_back(visit);
}

void Witnesses::FollowRefs(uint32_t at) {
  const Visit visit = visits_[at];
  const Block& block = graph_.BlockOf(NodeOf(visit));
  const std::vector<Ref>& refs = subject_.object.functions[areas_[visit.area].function].refs;
  for (size_t i = block.first_ref; i < refs.size() && refs[i].slot < block.end; ++i) {
    const Ref& ref = refs[i];
    if (ref.kind == RefKind::kMap || ref.kind == RefKind::kArena) {
      if (map_use_[ref.index].visit == kNone) map_use_[ref.index] = {at, ref.slot};
    } else if (ref.kind == RefKind::kCall) {
      Enter(ref.index, After(at, ref.slot, Step::Kind::kCall));
    } else if (ref.kind == RefKind::kFunctionAddress) {
      Enter(ref.index, After(at, ref.slot, Step::Kind::kCallback));
    }
  }
}

void Witnesses::FollowFlow(uint32_t at) {
  const Visit visit = visits_[at];
  const uint32_t node = NodeOf(visit);
  const Block& block = graph_.BlockOf(node);
  const Decision* decision = decisions_[node];
  if (block.flow != Flow::kUnknown) {
    if (decision == nullptr || !decision->taken) Go(at, block.next);
    if (decision == nullptr || decision->taken) Go(at, block.target);
    return;
  }
  // After what the engine does not know, any block may run.
  if (areas_[visit.area].all_seen) return;
  areas_[visit.area].all_seen = true;
  const auto count = static_cast<uint32_t>(areas_[visit.area].open.size());
  for (uint32_t other = 0; other < count; ++other) Go(at, other);
}

bool Witnesses::SlotMayBeSet(const TailSite& site) const {
  return subject_.liveness.functions[site.function].live_slots[graph_.BlockOf(site.setter).begin];
}

void Witnesses::FollowTails(uint32_t at) {
  const std::vector<TailSite>& sites = graph_.tail_sites();
  const uint32_t node = NodeOf(visits_[at]);
  auto site = std::lower_bound(sites.begin(), sites.end(), node,
                               [](const TailSite& s, uint32_t n) { return s.node < n; });
  for (; site != sites.end() && site->node == node; ++site) FollowTail(at, *site);
}

const std::vector<object::TailSlot>& Witnesses::TailsOf(uint32_t program) const {
  return together_ ? all_tails_ : subject_.liveness.programs[program].tail_calls;
}

void Witnesses::FollowTail(uint32_t at, const TailSite& site) {
  if (!SlotMayBeSet(site)) return;
  const object::ObjectSpec& object = subject_.object;
  Visit visit = After(at, site.set_at, Step::Kind::kTailCall);
  for (const object::TailSlot& tail : TailsOf(visit.program)) {
    if (site.map && object.maps[*site.map].name != tail.map) continue;
    if (site.index && *site.index != tail.slot) continue;
    const std::pair slot(std::string_view(tail.map), tail.slot);
    const auto [first, last] = programs_by_slot_.equal_range(slot);
    visit.tail = &tail;
    const bool exact = site.IsExact() || !exact_.contains(slot);
    for (auto it = first; it != last; ++it) {
      if (exact) {
        Start(it->second, visit);
      } else {
        late_.push_back({it->second, visit});
      }
    }
  }
  for (const uint32_t program : graph_.foreign()) {
    visit.tail = &*object.programs[program].tail;
    late_.push_back({program, visit});
  }
}

}  // namespace bonsai::reachability
