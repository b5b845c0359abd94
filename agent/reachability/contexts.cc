// SPDX-License-Identifier: Apache-2.0
// Functions and their callers: which context a call runs, and what the caller learns from it.
#include <algorithm>
#include <string_view>

#include "agent/reachability/engine.h"

namespace bonsai::reachability {
namespace {

constexpr size_t kMaxContexts = 64;  // a function, before its callers share one
// Blocks of all contexts together, before each function's callers share one.
constexpr uint64_t kMaxContextBlocks = 1 << 18;
constexpr uint32_t kNoContext = UINT32_MAX;
constexpr uint8_t kExitChanges = 64, kEntryChanges = 8;  // before bounds that still move give up
constexpr RegisterSet kResult = 1;   // r0

// By the names of libbpf's section table, up to the first slash; others may be anything.
ContextKind ContextOfSection(std::string_view section) {
  section = section.substr(0, section.find_first_of("/."));
  for (const std::string_view skb : {"tc", "tcx", "classifier", "action", "netkit", "cgroup_skb",
                                     "sk_skb", "socket", "flow_dissector", "lwt_in", "lwt_out",
                                     "lwt_xmit", "lwt_seg6local"}) {
    if (section == skb) return ContextKind::kSkb;
  }
  if (section == "xdp") return ContextKind::kXdp;
  for (const std::string_view without : {"kprobe", "kretprobe", "uprobe", "uretprobe", "tracepoint",
                                         "tp", "raw_tp", "raw_tracepoint", "perf_event"}) {
    if (section == without) return ContextKind::kWithout;
  }
  return ContextKind::kUnknown;
}

}  // namespace

Arguments AllOfKind(Kind kind) {
  Arguments arguments;
  arguments.fill(Value::OfKind(kind));
  return arguments;
}

uint32_t Engine::ContextOf(uint32_t function, Kind arguments) {
  return ContextFor(function, AllOfKind(arguments), nullptr);
}

uint32_t Engine::EntryContext(uint32_t program) {
  Arguments arguments = AllOfKind(Kind::kNumber);
  const auto kind = static_cast<uint32_t>(ContextOfSection(object_.programs[program].section));
  arguments[0] = Value::Pointer(Kind::kContext, kind, 0);
  return ContextFor(object_.programs[program].function, arguments, nullptr);
}

// `caller`: its frames are visible to the function; null: none is.
uint32_t Engine::ContextFor(uint32_t function, const Arguments& arguments, const State* caller) {
  const Cfg& cfg = CfgOf(function);
  State entry;
  if (caller != nullptr) {
    entry.frames = caller->frames;
    entry.stack = caller->stack;
    entry.PushFrame();
  }
  // What the function does not read does not tell its contexts apart.
  const RegisterSet read = cfg.blocks.empty() ? 0 : cfg.blocks[0].live_registers;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (read & 1u << (i + 1)) entry.registers[i + 1] = arguments[i];
  }
  entry.registers[BPF_REG_10] = Value::Pointer(Kind::kStack, entry.callers(), 0);
  const uint32_t known = Match(function, entry);
  if (known == kNoContext) {
    const uint32_t id = NewContext(function, entry);
    by_function_[function].push_back(id);
    contexts_[id].shared = by_function_[function].size() > MaxContexts();
    Enter(id, entry);
    return id;
  }
  Enter(known, entry);
  return known;
}

// The context that stands for this entry already, or that all beyond the limit share.
uint32_t Engine::Match(uint32_t function, const State& entry) {
  uint32_t shared = kNoContext;
  for (const uint32_t id : by_function_[function]) {
    const Context& context = contexts_[id];
    if (context.entry.callers() != entry.callers()) continue;
    if (context.shared) shared = id;
    if (context.entry.Covers(entry, kAllRegisters, tables_) &&
        (context.shared || entry.Covers(context.entry, kAllRegisters, tables_))) {
      return id;
    }
  }
  return by_function_[function].size() < MaxContexts() ? kNoContext : shared;
}

size_t Engine::MaxContexts() const {
  return context_blocks_ < kMaxContextBlocks ? kMaxContexts : 0;
}

uint32_t Engine::NewContext(uint32_t function, const State& entry) {
  const Cfg& cfg = CfgOf(function);
  const auto id = static_cast<uint32_t>(contexts_.size());
  Context& context = contexts_.emplace_back();
  context.function = function;
  context.entry = entry;
  context.heads.resize(cfg.heads.size());
  context.facts.resize(cfg.blocks.size());
  context_blocks_ += cfg.blocks.size();
  context.pending.resize((cfg.heads.size() + 63) / 64);
  return id;
}

void Engine::Enter(uint32_t id, const State& entry) {
  Context& context = contexts_[id];
  if (context.heads.empty()) return;
  Head& head = context.heads[0];
  const bool widen = context.shared || context.entry_changes >= kEntryChanges;
  const bool news = context.entry.Merge(entry, kAllRegisters, widen, tables_);
  if (head.state != nullptr && !news) return;
  if (context.entry_changes < UINT8_MAX) ++context.entry_changes;
  if (head.state == nullptr) {
    head.state = NewState(context.entry);
  } else if (!head.state->Merge(context.entry, kAllRegisters, widen, tables_)) {
    return;
  }
  head.pending = true;
  Schedule(id, 0);
}

// The function returns `result` with the frames of its callers as `state` has them.
void Engine::MergeExit(const State& state, const Value& result) {
  State& exit = here_->exit;
  // SOUND: the own frame is gone. No verifier lets a pointer into it be returned.
  const bool own = result.kind == Kind::kStack && result.index >= state.callers();
  const Value returned = own ? Value::OfKind(Kind::kUnknown) : result;
  if (!here_->returns) {
    here_->returns = true;
    exit.registers[BPF_REG_0] = returned;
    exit.frames = state.frames;
    NotifyWaiters();
    return;
  }
  const bool widen = here_->exit_changes >= kExitChanges;
  State next;
  next.registers[BPF_REG_0] = returned;
  next.frames = state.frames;
  if (!exit.Merge(next, kResult, widen, tables_)) return;
  if (!widen) ++here_->exit_changes;
  NotifyWaiters();
}

void Engine::ForeignWrite() {
  if (here_->foreign_writes) return;
  here_->foreign_writes = true;
  NotifyWaiters();
}

void Engine::NotifyWaiters() {
  for (const auto& [id, block] : here_->waiters) {
    const uint32_t number = cfgs_[contexts_[id].function]->blocks[block].head;
    Head& head = contexts_[id].heads[number];
    head.pending = head.state != nullptr;
    for (size_t i = 0; i < head.part_count(); ++i) (*head.parts)[i].done = false;
    Schedule(id, number);
  }
}

void Engine::AddCallee(uint32_t context) {
  std::vector<uint32_t>& callees = here_->callees;
  if (std::find(callees.begin(), callees.end(), context) == callees.end()) {
    callees.push_back(context);
  }
}

// This block runs again when the context has more to tell.
void Engine::WaitFor(uint32_t context) {
  AddCallee(context);
  auto& waiters = contexts_[context].waiters;
  const std::pair<uint32_t, uint32_t> waiter{current_, block_};
  if (std::find(waiters.begin(), waiters.end(), waiter) == waiters.end()) {
    waiters.push_back(waiter);
  }
}

// SOUND: the address of a function goes to who calls it: a helper, a kfunc. Once one of them got
// what may be any address, each function whose address is taken may be called, with anything.
void Engine::CallTaken() {
  if (!tables_.function_lost) return;
  for (uint32_t id = 0; id < contexts_.size(); ++id) {
    here_ = &contexts_[id];
    // Contexts may be added on the way.
    for (size_t i = 0; i < contexts_[id].taken.size(); ++i) {
      AddCallee(ContextOf(contexts_[id].taken[i], Kind::kForeign));
    }
  }
}

}  // namespace bonsai::reachability
