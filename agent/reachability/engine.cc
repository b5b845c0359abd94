// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/engine.h"

#include <algorithm>
#include <bit>

#include "agent/base/status.h"

namespace bonsai::reachability {
namespace {

using object::Ref;
using object::RefKind;

constexpr uint8_t kVisitsAtLoopHead = 3;  // before bounds that still move give up
constexpr uint8_t kVisitsAnywhere = 32;
// States kept apart at one place: rounds of a loop, ways to get somewhere else.
constexpr size_t kPartsInLoop = 256, kPartsElsewhere = 32;
// What an engine may spend on them in all, in blocks run: the smaller the object, the more for each
// slot. An object of the size of ours is followed like the verifier does. At 60 thousand slots a tenth
// of the time would go there: a large one gets less than in proportion, and time stays linear.
constexpr uint64_t kPartBudget = 8192, kPartBudgetTimesSlots = 1 << 26, kSlotsToTaper = 1 << 15;
// Comparisons of states that cost as much as running a block.
constexpr uint64_t kComparisonsPerBlock = 4;

uint64_t PartBudget(const object::ObjectSpec& object) {
  const uint64_t slots = std::max<uint64_t>(object.SlotCount(), 1);
  const uint64_t budget = std::min(kPartBudget, kPartBudgetTimesSlots / slots);
  return slots <= kSlotsToTaper ? budget : budget * kSlotsToTaper / slots;
}

}  // namespace

Engine::Engine(const object::ObjectSpec& object, const constants::ConstantSet& constants)
    : object_(object),
      constants_(constants),
      cfgs_(object.functions.size()),
      origins_(object.data_sections.size()),
      by_function_(object.functions.size()),
      callback_contexts_(object.functions.size()),
      part_budget_(PartBudget(object)) {}

const Cfg& Engine::CfgOf(uint32_t function) {
  if (!cfgs_[function]) cfgs_[function] = std::make_unique<Cfg>(builder_.Build(object_.functions[function]));
  return *cfgs_[function];
}

void Engine::Schedule(uint32_t id, uint32_t head) {
  Context& context = contexts_[id];
  context.pending[head / 64] |= uint64_t{1} << (head % 64);
  context.first_pending = std::min(context.first_pending, head / 64);
  if (context.scheduled) return;
  context.scheduled = true;
  stack_.push_back(id);
}

uint32_t Engine::PopPending(Context& context) {
  for (uint32_t& word = context.first_pending; word < context.pending.size(); ++word) {
    uint64_t& bits = context.pending[word];
    if (bits == 0) continue;
    const int bit = std::countr_zero(bits);
    bits &= bits - 1;
    return word * 64 + static_cast<uint32_t>(bit);
  }
  return kNoHead;
}

void Engine::Run() {
  do {
    while (!stack_.empty() && status_.ok()) {
      const uint32_t id = stack_.back();
      const uint32_t head = PopPending(contexts_[id]);
      if (head != kNoHead) {
        RunHead(id, head);
      } else {
        // Not scheduled again in between: only RunHead() schedules.
        stack_.pop_back();
        contexts_[id].scheduled = false;
      }
    }
    CallTaken();
  } while (!stack_.empty() && status_.ok());
}

void Engine::RunHead(uint32_t id, uint32_t number) {
  current_ = id;
  here_ = &contexts_[id];
  function_ = &object_.functions[here_->function];
  cfg_ = cfgs_[here_->function].get();
  const uint32_t block = cfg_->heads[number];
  Head& head = here_->heads[number];
  if (head.pending) {
    head.pending = false;
    if (head.visits < UINT8_MAX) ++head.visits;
    in_part_ = false;
    state_ = *head.state;
    RunFrom(block);
  }
  // More may be added on the way.
  for (size_t i = 0; i < head.part_count(); ++i) {
    Part& part = (*head.parts)[i];
    if (part.done) continue;
    part.done = true;
    state_ = part.state;
    in_part_ = true;
    RunFrom(block);
  }
}

// Follows state_ from `block` on to where paths meet.
void Engine::RunFrom(uint32_t block) {
  while (status_.ok()) {
    block_ = block;
    if (in_part_) SpendOnParts(1);
    here_->facts[block].flags |= kReached;
    block = RunBlock(cfg_->blocks[block]);
    if (block != kNoBlock) {
      if (cfg_->blocks[block].head == kNoHead) continue;
      Arrive(block);
    }
    if (fork_count_ == 0) return;
    Pending& fork = forks_[--fork_count_];
    std::swap(state_, fork.state);
    block = fork.block;
  }
  fork_count_ = 0;
}

// Returns the block to go on with, if any.
uint32_t Engine::RunBlock(const Block& block) {
  const Insn* const insns = function_->insns.data();
  const Ref* ref = function_->refs.data() + block.first_ref;
  const Ref* const end = function_->refs.data() + function_->refs.size();
  const uint32_t last = block.last();
  const uint32_t stop = block.flow == Flow::kNext ? block.end : last;
  uint32_t next_ref = ref == end ? UINT32_MAX : ref->slot;
  // The reference of an instruction; null: none. To be asked in order.
  const auto ref_at = [&](uint32_t slot) -> const Ref* {
    if (slot < next_ref) return nullptr;
    while (ref != end && ref->slot < slot) ++ref;
    const Ref* const found = ref != end && ref->slot == slot ? ref++ : nullptr;
    next_ref = ref == end ? UINT32_MAX : ref->slot;
    return found;
  };
  for (uint32_t slot = block.begin; slot < stop; ++slot) {
    slot_ = slot;
    const Insn& insn = insns[slot];
    Step(insn, ref_at(slot));
    if (IsLoadImm64(insn)) ++slot;
  }
  if (block.flow == Flow::kNext) return block.next;
  slot_ = last;
  return FinishBlock(block, ref_at(last));
}

uint32_t Engine::FinishBlock(const Block& block, const Ref* ref) {
  switch (block.flow) {
    case Flow::kBranch:
      return Branch(block);
    case Flow::kJump:
      return block.target;
    case Flow::kExit:
      MergeExit(state_, state_.registers[BPF_REG_0]);
      return kNoBlock;
    case Flow::kMayGoto:
      if (block.target != kNoBlock) Fork(block.target);
      return block.next;
    case Flow::kCallback:
      CallCallback(function_->insns[block.last()]);
      return block.next;
    case Flow::kCall:
      if (ref != nullptr && ref->kind == RefKind::kCall) {
        return CallFunction(ref->index) ? block.next : kNoBlock;
      }
      if (ref != nullptr && ref->kind == RefKind::kExtern) {
        CallKfunc();
        // SOUND: an exception unwinds; nothing behind it runs.
        return IsThrow(*ref) ? kNoBlock : block.next;
      }
      status_ = base::InvalidArgument("analysing object {}: function {}, slot {}: call of nothing",
                                      object_.name, function_->name, block.last());
      return kNoBlock;
    default:  // kUnknown
      Havoc();
      return kNoBlock;
  }
}

bool Engine::IsThrow(const Ref& ref) const {
  return ref.index < object_.externs.size() && object_.externs[ref.index] == "bpf_throw";
}

// state_ also goes to `block`.
void Engine::Fork(uint32_t block) {
  if (cfg_->blocks[block].head == kNoHead) {
    if (fork_count_ == forks_.size()) forks_.emplace_back();
    Pending& fork = forks_[fork_count_++];
    fork.block = block;
    fork.state = state_;
  } else {
    Arrive(block);
  }
}

// SOUND: each state that gets to a head is run from there: as part of the joined one, by itself, or
// as one that a state which is run covers.
void Engine::Arrive(uint32_t block) {
  const Block& to = cfg_->blocks[block];
  Head& head = here_->heads[to.head];
  if (head.state == nullptr) {
    head.state = NewState(state_);
    head.pending = true;
    Schedule(current_, to.head);
    return;
  }
  if (part_budget_ > 0 && KeepApart(to, head)) return;
  const bool widen = head.visits >= (to.loop_head ? kVisitsAtLoopHead : kVisitsAnywhere);
  if (!head.state->Merge(state_, to.live_registers, widen, tables_)) return;
  head.pending = true;
  Schedule(current_, to.head);
}

State* Engine::NewState(const State& state) {
  constexpr size_t kChunk = 32;
  if (states_left_ == 0) {
    states_.push_back(std::make_unique<State[]>(kChunk));
    states_left_ = kChunk;
  }
  State& made = states_.back()[kChunk - states_left_--];
  made = state;
  return &made;
}

void Engine::SpendOnParts(uint64_t blocks) { part_budget_ -= std::min(part_budget_, blocks); }

// Keeps state_ by itself when joining would lose much. False: it is to be joined.
bool Engine::KeepApart(const Block& to, Head& head) {
  if (Contrast(*head.state, state_, to.live_registers, to.read_slots) == 0) return false;
  if (head.part_count() >= (to.in_loop ? kPartsInLoop : kPartsElsewhere)) return false;
  SpendOnParts(1 + head.part_count() / kComparisonsPerBlock);
  if (head.parts == nullptr) head.parts = std::make_unique<std::vector<Part>>();
  for (const Part& part : *head.parts) {
    if (part.state.Covers(state_, to.live_registers, tables_)) return true;
  }
  head.parts->push_back({.state = state_});
  Schedule(current_, to.head);
  return true;
}

// SOUND: after an instruction that this engine does not know, any instruction of the function may
// run with anything in registers and stack, and the function may return and write anything.
void Engine::Havoc() {
  state_.registers.fill(Value::OfKind(Kind::kUnknown));
  state_.ClobberAll(tables_.stacks);
  for (uint32_t block = 0; block < cfg_->blocks.size(); ++block) {
    Head& head = here_->heads[cfg_->blocks[block].head];
    if (head.state != nullptr && head.state->Covers(state_, kAllRegisters, tables_)) continue;
    if (head.state == nullptr) {
      head.state = NewState(state_);
    } else {
      *head.state = state_;
    }
    head.pending = true;
    Schedule(current_, cfg_->blocks[block].head);
  }
  const auto known = std::find_if(here_->tail_uses.begin(), here_->tail_uses.end(),
                                  [](const TailUse& use) { return !use.map; });
  if (known == here_->tail_uses.end()) here_->tail_uses.push_back({});
  ForeignWrite();
  MergeExit(state_, Value::OfKind(Kind::kUnknown));
}

}  // namespace bonsai::reachability
