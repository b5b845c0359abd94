// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/engine.h"

#include <algorithm>
#include <bit>

#include "agent/base/status.h"

namespace bonsai::reachability {
namespace {

using object::Ref;
using object::RefKind;

constexpr size_t kMaxContexts = 16;      // a function, before its callers share one
constexpr uint8_t kVisitsAtLoopHead = 3;  // before bounds that still move give up
constexpr uint8_t kVisitsAnywhere = 32;
constexpr uint8_t kResultChanges = 4;

// Whatever the caller holds; it has no frame of ours in it.
Arguments AnyArguments(Kind kind) {
  Arguments arguments;
  arguments.fill(Value::OfKind(kind));
  return arguments;
}

bool Same(const Arguments& a, const Arguments& b) {
  return std::equal(a.begin(), a.end(), b.begin(),
                    [](const Value& x, const Value& y) { return x.SameAs(y); });
}

}  // namespace

bool Context::HasForeign() const {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const Value& value) { return value.MayPointToStack(); });
}

Engine::Engine(const object::ObjectSpec& object, const constants::ConstantSet& constants)
    : object_(object),
      constants_(constants),
      cfgs_(object.functions.size()),
      origins_(object.data_sections.size()),
      by_function_(object.functions.size()) {
  for (const object::Function& function : object.functions) {
    for (const Ref& ref : function.refs) {
      takes_addresses_ = takes_addresses_ || ref.kind == RefKind::kFunctionAddress;
    }
  }
}

const Cfg& Engine::CfgOf(uint32_t function) {
  if (!cfgs_[function]) cfgs_[function] = BuildCfg(object_.functions[function]);
  return *cfgs_[function];
}

uint32_t Engine::EntryContext(uint32_t program) {
  return ContextFor(object_.programs[program].function, AnyArguments(Kind::kNumber));
}

uint32_t Engine::ContextFor(uint32_t function, const Arguments& arguments) {
  std::vector<uint32_t>& known = by_function_[function];
  for (uint32_t id : known) {
    if (Same(contexts_[id].arguments, arguments)) return id;
  }
  const bool share = known.size() >= kMaxContexts;
  if (share && contexts_[known.back()].shared) {
    Context& context = contexts_[known.back()];
    bool changed = false;
    for (size_t i = 0; i < arguments.size(); ++i) {
      const Value joined =
          JoinValues(context.arguments[i], arguments[i], true, tables_);
      changed = changed || !joined.SameAs(context.arguments[i]);
      context.arguments[i] = joined;
    }
    if (!changed) return known.back();
  } else {
    known.push_back(static_cast<uint32_t>(contexts_.size()));
    const size_t blocks = CfgOf(function).blocks.size();
    Context& context = contexts_.emplace_back();
    context.function = function;
    context.arguments = arguments;
    context.shared = share;
    context.in.resize(blocks);
    context.visits.resize(blocks);
    context.branches.resize(blocks);
    context.pending.resize((blocks + 63) / 64);
  }
  const uint32_t id = known.back();
  Context& context = contexts_[id];
  if (context.in.empty()) return id;
  State entry;
  for (size_t i = 0; i < arguments.size(); ++i) entry.registers[i + 1] = context.arguments[i];
  entry.registers[BPF_REG_10] = Value::Pointer(Kind::kStack, 0, 0);
  if (context.in[0].Merge(entry, CfgOf(function).blocks[0].live_registers, false, tables_)) Schedule(id, 0);
  return id;
}

void Engine::Schedule(uint32_t id, uint32_t block) {
  Context& context = contexts_[id];
  context.pending[block / 64] |= uint64_t{1} << (block % 64);
  context.first_pending = std::min(context.first_pending, block / 64);
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
  return kNoBlock;
}

void Engine::Run() {
  while (!stack_.empty() && status_.ok()) {
    const uint32_t id = stack_.back();
    const uint32_t block = PopPending(contexts_[id]);
    if (block != kNoBlock) {
      RunBlock(id, block);
    } else {
      // Not scheduled again in between: only RunBlock() schedules.
      stack_.pop_back();
      contexts_[id].scheduled = false;
    }
  }
}

void Engine::RunBlock(uint32_t id, uint32_t number) {
  current_ = id;
  block_ = number;
  ++blocks_run_;
  here_ = &contexts_[id];
  const object::Function& function = object_.functions[here_->function];
  const Block& block = cfgs_[here_->function]->blocks[number];
  if (here_->visits[number] < UINT8_MAX) ++here_->visits[number];
  here_->in[number].Restore(state_);
  if (block.flow == Flow::kUnknown) {
    Havoc();
    return;
  }
  const Ref* ref = function.refs.data() + block.first_ref;
  const Ref* const end = function.refs.data() + function.refs.size();
  for (uint32_t slot = block.begin; slot < block.end; ++slot) {
    while (ref != end && ref->slot < slot) ++ref;
    const Ref* const at = ref != end && ref->slot == slot ? ref : nullptr;
    if (slot == block.last && block.flow != Flow::kNext) {
      FinishBlock(block, at);
      return;
    }
    slot_ = slot;
    const Insn& insn = function.insns[slot];
    if (IsLoadImm64(insn)) {
      Step(insn, &function.insns[++slot], at);
    } else {
      Step(insn, nullptr, at);
    }
  }
  if (block.next != kNoBlock) Propagate(block.next);
}

void Engine::Propagate(uint32_t block) {
  const Block& to = cfgs_[here_->function]->blocks[block];
  const uint8_t visits = here_->visits[block];
  const bool widen = visits >= (to.loop_head ? kVisitsAtLoopHead : kVisitsAnywhere);
  if (here_->in[block].Merge(state_, to.live_registers, widen, tables_)) Schedule(current_, block);
}

void Engine::FinishBlock(const Block& block, const Ref* ref) {
  switch (block.flow) {
    case Flow::kBranch:
      Branch(block);
      return;
    case Flow::kExit:
      MergeResult(state_.registers[BPF_REG_0]);
      return;
    case Flow::kCall:
      if (ref != nullptr && ref->kind == RefKind::kCall) {
        CallFunction(block, ref->index);
      } else if (ref != nullptr && ref->kind == RefKind::kExtern) {
        CallKfunc();
        if (block.next != kNoBlock) Propagate(block.next);
      } else {
        status_ = base::InvalidArgument("analysing object {}: function {}, slot {}: call of nothing",
                                        object_.name, object_.functions[here_->function].name,
                                        block.last);
      }
      return;
    default:  // kJump, kMayGoto
      if (block.target != kNoBlock) Propagate(block.target);
      if (block.next != kNoBlock) Propagate(block.next);
  }
}

void Engine::RecordBranch(uint8_t direction, Origin origin) {
  BranchFact& fact = here_->branches[block_];
  fact.directions |= direction;
  fact.origin = tables_.provenance.Union(fact.origin, origin);
}

void Engine::MergeResult(const Value& value) {
  if (!here_->returns) {
    here_->returns = true;
    here_->result = value;
    NotifyWaiters();
    return;
  }
  const bool widen = here_->result_changes >= kResultChanges;
  const Value joined = JoinValues(here_->result, value, widen, tables_);
  const bool changed = !joined.SameAs(here_->result);
  here_->result = joined;
  if (!changed) return;
  if (!widen) ++here_->result_changes;
  NotifyWaiters();
}

void Engine::MergeWrites(SlotSet caller, bool far) {
  if ((caller & ~here_->caller_writes) == 0 && (!far || here_->far_writes)) return;
  here_->caller_writes |= caller;
  here_->far_writes = here_->far_writes || far;
  NotifyWaiters();
}

void Engine::NotifyWaiters() {
  for (const auto& [context, block] : here_->waiters) Schedule(context, block);
}

// SOUND: after an instruction that this engine does not know, any instruction of the function may
// run with anything in registers and stack, and the function may return and write anything.
void Engine::Havoc() {
  for (uint32_t block = 0; block < here_->in.size(); ++block) {
    if (here_->in[block].MergeEverything()) Schedule(current_, block);
  }
  here_->tail_uses.push_back({});
  MergeWrites(~SlotSet{0}, true);
  MergeResult(Value::OfKind(Kind::kUnknown));
}

}  // namespace bonsai::reachability
