// SPDX-License-Identifier: Apache-2.0
// The fixpoint over programs: entries first, then whatever live tail calls may jump to. Internal to
// reachability/.
//
// Programs share nothing but the static functions they call, so a large object is analysed by two
// engines at once, each in a thread of its own. Which program goes to which is a matter of the object
// alone: the verdict is the same on every machine.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "agent/base/worker.h"
#include "agent/reachability/engine.h"

namespace bonsai::reachability {

// Tag of a program whose exceptions end in the function it names.
inline constexpr std::string_view kExceptionTag = "exception_callback:";

// A slot of a program array that the object fills.
struct TailTarget {
  uint32_t map = 0;
  uint32_t slot = 0;
  uint32_t program = 0;
};
std::vector<TailTarget> TailTargets(const object::ObjectSpec& object);

// Whether a tail call may jump to this slot of this map.
bool MayJumpTo(const TailUse& use, uint32_t map, uint32_t slot);

// The contexts that a program starts in.
struct Roots {
  uint32_t engine = 0;  // that runs it
  std::vector<uint32_t> contexts;
};

using Engines = std::vector<std::unique_ptr<Engine>>;

// Whether two engines analyse it.
bool IsLarge(const object::ObjectSpec& object);

class Fixpoint {
 public:
  // All must outlive it. `worker` runs the second engine, if there is one.
  Fixpoint(const object::ObjectSpec& object, const constants::ConstantSet& constants,
           base::Worker& worker);
  ~Fixpoint();  // what two engines hold is given back by the worker, perhaps later
  Fixpoint(const Fixpoint&) = delete;
  Fixpoint& operator=(const Fixpoint&) = delete;

  // Once. The error is that of Engine::status().
  absl::Status Run(const std::vector<uint32_t>& entries);

  const Engines& engines() const { return engines_; }
  base::Worker& worker() const { return worker_; }
  const std::map<uint32_t, Roots>& roots() const { return roots_; }  // by live program
  const std::vector<TailTarget>& targets() const { return targets_; }

 private:
  std::vector<uint32_t> ForeignTails() const;
  uint64_t SlotsOf(uint32_t program) const;
  void Assign(const std::vector<uint32_t>& programs);
  void Start(uint32_t program, uint32_t engine);
  void RunEngines();
  void RunEngine(uint32_t engine);
  std::vector<uint32_t> Targets() const;

  const object::ObjectSpec& object_;
  const constants::ConstantSet& constants_;
  base::Worker& worker_;
  const std::vector<TailTarget> targets_;
  const std::vector<uint32_t> foreign_;
  Engines engines_;
  std::vector<std::vector<uint32_t>> wanted_;  // by engine: programs to be started
  std::vector<bool> live_;                     // programs
  std::map<uint32_t, Roots> roots_;
};

}  // namespace bonsai::reachability
