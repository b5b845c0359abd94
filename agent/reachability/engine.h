// SPDX-License-Identifier: Apache-2.0
// The abstract interpreter: runs functions in contexts until nothing new is learnt. Internal to
// reachability/; Analyze() drives it.
//
// A context is a function with what its arguments may be. Static functions get one context for each
// different set of arguments, up to a limit beyond which they share; global functions and callbacks
// get one with unknown arguments, as the kernel verifies them.
#pragma once

#include <absl/status/status.h>

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/reachability/cfg.h"
#include "agent/reachability/compare.h"
#include "agent/reachability/provenance.h"
#include "agent/reachability/state.h"

namespace bonsai::reachability {

using Arguments = std::array<Value, 5>;  // r1..r5

struct TailUse {
  std::optional<uint32_t> map;  // none: any
  Number slot;                  // its low 32 bits, one of `slots` unless that is empty
  ValueSet slots;
  uint32_t call = 0;            // where in the function
  Origin origin = 0;            // of map and slot
};

struct BranchFact {
  uint8_t directions = 0;       // kTaken, kNotTaken
  Origin origin = 0;
};
inline constexpr uint8_t kTaken = 1, kNotTaken = 2;

struct Context {
  uint32_t function = 0;
  Arguments arguments;
  bool shared = false;          // for all arguments beyond the limit

  // By block of the function's Cfg.
  std::vector<SavedState> in;
  std::vector<uint8_t> visits;
  std::vector<BranchFact> branches;
  std::vector<uint64_t> pending;  // a set of bits
  uint32_t first_pending = 0;     // no bit below this one's word is set
  bool scheduled = false;

  // What callers see.
  bool returns = false;
  Value result;
  uint8_t result_changes = 0;
  SlotSet caller_writes = 0;    // slots of the calling function's frame it may write
  bool far_writes = false;      // may write any frame above its own

  std::vector<std::pair<uint32_t, uint32_t>> waiters;  // (context, block) of calls to this one
  std::vector<uint32_t> callees;  // contexts called, or whose function's address was taken
  std::vector<TailUse> tail_uses;

  bool HasForeign() const;      // some argument may point into a caller's frame
};

class Engine {
 public:
  // Both must outlive it.
  Engine(const object::ObjectSpec& object, const constants::ConstantSet& constants);

  uint32_t ContextFor(uint32_t function, const Arguments& arguments);
  uint32_t EntryContext(uint32_t program);
  void Run();
  // InvalidArgument once an instruction was met that the object's reader never makes.
  const absl::Status& status() const { return status_; }

  const Context& context(uint32_t id) const { return contexts_[id]; }
  size_t context_count() const { return contexts_.size(); }
  uint64_t blocks_run() const { return blocks_run_; }  // moves whenever something new is learnt
  const Cfg& CfgOf(uint32_t function);
  const Provenance& provenance() const { return tables_.provenance; }
  const ValueSets& sets() const { return tables_.sets; }

 private:
  // ---- engine.cc: contexts and blocks
  void Schedule(uint32_t context, uint32_t block);
  uint32_t PopPending(Context& context);
  void RunBlock(uint32_t context, uint32_t block);
  void Propagate(uint32_t block);
  void FinishBlock(const Block& block, const object::Ref* ref);
  void Branch(const Block& block);
  Outcome DecideValues(const Insn& insn, const Value& left, const Value& right) const;
  bool RefineValue(const Insn& insn, bool taken, const Value& other, bool is_left, Value& value);
  void BothWays(const Block& block, const Insn& insn, const Value& right);
  void RecordBranch(uint8_t direction, Origin origin);
  void MergeResult(const Value& value);
  void MergeWrites(SlotSet caller, bool far);
  void NotifyWaiters();
  void Havoc();

  // ---- step.cc: single instructions
  void Step(const Insn& insn, const Insn* second, const object::Ref* ref);
  void StepAlu(const Insn& insn, bool rewritten);
  // `operation` on each member when there are few, else on the whole.
  template <typename Operation>
  Value Map(const Value& value, Operation operation);
  Value Arithmetic(const Insn& insn, const Value& left, const Value& right);
  Value Add(const Value& left, const Value& right, bool subtract);
  void StepLoadImm64(const Insn& insn, const Insn& second, const object::Ref* ref);
  void StepLoad(const Insn& insn, bool rewritten);
  void StepStore(const Insn& insn, bool rewritten);
  void StepAtomic(const Insn& insn);
  Value LoadFrom(const Value& base, int32_t offset, uint32_t size);
  void StoreTo(const Value& base, int32_t offset, uint32_t size, const Value& value);
  Value LoadData(uint32_t section, const Number& offset, uint32_t size);

  // ---- calls.cc: helpers, kfuncs, functions
  void CallHelper(const Insn& insn);
  void CallKfunc();
  void CallFunction(const Block& block, uint32_t function);
  void ApplyWrites(const Context& callee, bool upwards_only);
  void WriteThrough(const Value& pointer, std::optional<uint32_t> size);
  void WriteAnywhere();
  void RecordTailCall();
  void AddCallee(uint32_t context);
  void EndCall(const Value& result);

  const object::ObjectSpec& object_;
  const constants::ConstantSet& constants_;
  bool takes_addresses_ = false;             // some function's address is taken somewhere
  std::vector<std::optional<Cfg>> cfgs_;     // by function
  std::vector<std::vector<Origin>> origins_;  // by data section and byte; empty: not made yet
  Tables tables_;
  std::deque<Context> contexts_;             // stable addresses
  std::vector<std::vector<uint32_t>> by_function_;
  std::vector<uint32_t> stack_;              // scheduled contexts, the last one runs
  absl::Status status_;
  uint64_t blocks_run_ = 0;

  // While a block runs.
  uint32_t current_ = 0;                     // context
  uint32_t block_ = 0;
  uint32_t slot_ = 0;                        // of the instruction
  Context* here_ = nullptr;
  State state_;
};

}  // namespace bonsai::reachability
