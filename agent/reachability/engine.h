// SPDX-License-Identifier: Apache-2.0
// The abstract interpreter: runs functions in contexts until nothing new is learnt. Internal to
// reachability/; Analyze() drives it.
//
// A context is a function with what its arguments may be and, where one of them may point to a
// caller's stack, with what the frames of its callers may hold. Static functions get one context for
// each different entry, up to a limit beyond which they share; global functions get one with unknown
// arguments, as the kernel verifies them.
//
// States are kept at heads only: where paths meet, where loops begin and where functions are called.
// From a head on the engine follows each path until the next head. States that meet are joined,
// except where that would forget which constants go together: then they are kept apart, as the
// verifier does with every path, as long as the budget for that lasts.
#pragma once

#include <absl/status/status.h>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/reachability/cfg.h"
#include "agent/reachability/provenance.h"
#include "agent/reachability/state.h"

namespace bonsai::reachability {

using Arguments = std::array<Value, 5>;  // r1..r5
Arguments AllOfKind(Kind kind);

struct TailUse {
  std::optional<uint32_t> map;  // none: any
  Number slot;                  // its low 32 bits, one of `slots` unless that is empty
  ValueSet slots;
  uint32_t call = 0;            // where in the function
  Origin origin = 0;            // of map and slot
};

struct BlockFact {
  uint8_t flags = 0;            // kReached, kTaken, kNotTaken
  Origin origin = 0;            // of the operands of the branch at its end
};
inline constexpr uint8_t kReached = 1, kTaken = 2, kNotTaken = 4;

// A state that is not joined with others.
struct Part {
  State state;
  bool done = false;
};

struct Head {
  State* state = nullptr;       // all that was joined, the engine's; null: nothing came here yet
  std::unique_ptr<std::vector<Part>> parts;  // null: none
  bool pending = false;         // `state` is to be run
  uint8_t visits = 0;

  size_t part_count() const { return parts == nullptr ? 0 : parts->size(); }
};

struct Context {
  uint32_t function = 0;
  bool shared = false;          // for all entries beyond the limit
  State entry;                  // r1..r5 and the frames of callers
  uint8_t entry_changes = 0;
  std::vector<Head> heads;      // by Block::head
  std::vector<BlockFact> facts;  // by block
  std::vector<uint64_t> pending;  // heads, a set of bits
  uint32_t first_pending = 0;   // no bit below this one's word is set
  bool scheduled = false;

  // What callers see.
  bool returns = false;
  State exit;                   // r0 and the frames of callers
  uint8_t exit_changes = 0;
  bool foreign_writes = false;  // may write to frames that are not visible to it

  std::vector<std::pair<uint32_t, uint32_t>> waiters;  // (context, block) of calls to this one
  std::vector<uint32_t> callees;   // contexts it calls
  std::vector<uint32_t> taken;     // functions whose address it takes
  std::vector<TailUse> tail_uses;
};

class Engine {
 public:
  // Both must outlive it.
  Engine(const object::ObjectSpec& object, const constants::ConstantSet& constants);

  // The context of a function nothing is known of but the kind of its arguments.
  uint32_t ContextOf(uint32_t function, Kind arguments);
  // That of a program as the kernel starts it.
  uint32_t EntryContext(uint32_t program);
  void Run();
  // InvalidArgument once an instruction was met that the object's reader never makes.
  const absl::Status& status() const { return status_; }

  const Context& context(uint32_t id) const { return contexts_[id]; }
  size_t context_count() const { return contexts_.size(); }
  const Cfg& CfgOf(uint32_t function);
  const Provenance& provenance() const { return tables_.provenance; }

 private:
  // ---- contexts.cc: functions and their callers
  uint32_t ContextFor(uint32_t function, const Arguments& arguments, const State* caller);
  uint32_t NewContext(uint32_t function, const State& entry);
  size_t MaxContexts() const;  // of a function
  void Enter(uint32_t context, const State& entry);
  uint32_t Match(uint32_t function, const State& entry);
  void MergeExit(const State& state, const Value& result);
  void ForeignWrite();
  void NotifyWaiters();
  void AddCallee(uint32_t context);
  void WaitFor(uint32_t context);
  void CallTaken();

  // ---- engine.cc: heads and blocks
  void Schedule(uint32_t context, uint32_t head);
  uint32_t PopPending(Context& context);
  void RunHead(uint32_t context, uint32_t head);
  void RunFrom(uint32_t block);
  uint32_t RunBlock(const Block& block);
  uint32_t FinishBlock(const Block& block, const object::Ref* ref);
  bool IsThrow(const object::Ref& ref) const;
  void Arrive(uint32_t block);
  State* NewState(const State& state);
  bool KeepApart(const Block& block, Head& head);
  void SpendOnParts(uint64_t blocks);
  void Fork(uint32_t block);
  void Havoc();

  // ---- branch.cc
  uint32_t Branch(const Block& block);
  uint32_t BothWays(const Block& block, const Insn& insn, const Value& right);
  void RecordBranch(uint8_t directions, Origin origin);

  // ---- step.cc: single instructions
  void Step(const Insn& insn, const object::Ref* ref);
  void StepAlu(const Insn& insn, bool rewritten);
  void StepMov(const Insn& insn, const Value& src);
  Value Add(const Value& left, const Value& right, bool subtract);
  void StepLoadImm64(const Insn& insn, const Insn& second, const object::Ref* ref);
  void StepLoad(const Insn& insn, bool rewritten);
  void StepStore(const Insn& insn, bool rewritten);
  void StepAtomic(const Insn& insn);
  Value LoadFrom(const Value& base, int32_t offset, uint32_t size);
  void StoreTo(const Value& base, int32_t offset, uint32_t size, const Value& value);
  Value LoadData(uint32_t section, Scalar offset, uint32_t size);
  Value LoadDataAt(uint32_t section, uint64_t offset, uint32_t size);
  const std::vector<Origin>& OriginsOf(uint32_t section);
  Scalar Shift(const Value& base, int32_t offset);  // the scalar of base + offset

  // ---- calls.cc: helpers, kfuncs, functions
  void CallHelper(const Insn& insn);
  void CallKfunc();
  bool CallFunction(uint32_t function);
  bool CallVisible(uint32_t function);
  bool CallOpaque(uint32_t function);
  void CallCallback(const Insn& insn);
  void RunCallback(int32_t helper, uint32_t function);
  Arguments CallbackArguments(int32_t helper) const;
  void WriteThrough(const Value& pointer, std::optional<uint32_t> size);
  void WriteAnywhere();
  void RecordTailCall();
  void EndCall(const Value& result);

  const object::ObjectSpec& object_;
  const constants::ConstantSet& constants_;
  CfgBuilder builder_;
  std::vector<std::unique_ptr<Cfg>> cfgs_;    // by function
  std::vector<std::vector<Origin>> origins_;  // by data section and byte; empty: not made yet
  Tables tables_;
  // States of heads; a chunk at a time, for most heads of a large object are never come to.
  std::vector<std::unique_ptr<State[]>> states_;
  size_t states_left_ = 0;                    // in the last chunk
  std::deque<Context> contexts_;              // stable addresses
  std::vector<std::vector<uint32_t>> by_function_;
  uint64_t context_blocks_ = 0;               // of all contexts
  // Contexts of callbacks that are called again and again: (context, block) of the call, function.
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, uint32_t> callbacks_;
  std::vector<uint32_t> callback_contexts_;   // by function: how many of these
  std::vector<uint32_t> stack_;               // scheduled contexts, the last one runs
  absl::Status status_;
  uint64_t part_budget_;                      // blocks still to be run for states kept apart

  // While a head runs.
  uint32_t current_ = 0;                      // context
  uint32_t block_ = 0;
  uint32_t slot_ = 0;                         // of the instruction
  bool in_part_ = false;
  Context* here_ = nullptr;
  const object::Function* function_ = nullptr;
  const Cfg* cfg_ = nullptr;
  State state_;
  struct Pending {
    uint32_t block = 0;
    State state;
  };
  std::vector<Pending> forks_;                // the other ways of branches, still to be followed:
  size_t fork_count_ = 0;                     // the first so many
};

}  // namespace bonsai::reachability
